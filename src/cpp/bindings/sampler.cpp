// Sampler: a whole language model, one sequence.
#include "rnn/sampler.hpp"

#include <algorithm>
#include <memory>
#include <utility>
#include <variant>

#include "bindings/arrays.hpp"
#include "bindings/interpreter.hpp"
#include "bindings/network.hpp"
#include "bindings/one_call.hpp"
#include "bindings/register.hpp"

namespace rnncore::bindings {
namespace {

template <class T>
using SamplerPointer = std::unique_ptr<Sampler<T>>;

struct ModelArrays {
    py::object params, embedding, weight, bias;
};

template <class T>
SamplerPointer<T> make_sampler(const Network& network, const ModelArrays& model, Storage storage) {
    const Dimension inputs{"input_size", network.input(0)};
    const bool one_hot = model.embedding.is_none();
    const auto weight =
        view<T>(model.weight, "weight", {{"V", one_hot ? network.input(0) : Dimension::kAny}, {"H", network.output()}});
    const Dimension classes{"V", weight.shape[0]};
    if (classes.size == 0) throw py::value_error("weight: expected at least one class, got " + describe(model.weight));
    const auto params = view<T>(model.params, "params", {{"P", network.parameter_count()}});
    const auto embedding = view_or_none<T>(model.embedding, "embedding", {classes, inputs});
    const auto bias = view_or_none<T>(model.bias, "bias", {classes});
    return without_gil([&] {
        const Contiguous<T> params_values(params), bias_values(bias);
        const Rows<T> weight_rows(weight);
        LanguageModelWeights<T> weights{params_values.data(), {}, weight_rows.matrix(), bias_values.data()};
        if (one_hot) return std::make_unique<Sampler<T>>(network, weights, storage);
        const Rows<T> embedding_rows(embedding);
        weights.embedding = embedding_rows.matrix();
        return std::make_unique<Sampler<T>>(network, weights, storage);
    });
}

class PySampler {
public:
    PySampler(const PyNetwork& network, const ModelArrays& model, Storage storage) {
        network.by_dtype([&]<class T>() { sampler_ = make_sampler<T>(network.network, model, storage); });
    }

    PySampler(const PySampler& other) {
        const auto copy = [&]<class S>(const S& from) { sampler_ = std::make_unique<typename S::element_type>(*from); };
        other.call_.read([&] { std::visit(copy, other.sampler_); });
    }

    void feed(py::object given) {
        const Ids tokens = checked(given);
        change([&](auto& s) { s.feed(tokens.values.data(), tokens.shape[0]); });
    }

    py::array_t<double> score(py::object given) {
        const Ids tokens = checked(given);
        const Index count = tokens.shape[0];
        auto scores = new_array<double>({std::max<Index>(count - 1, 0)});
        double* const to = scores.mutable_data();
        change([&](auto& s) { s.score(tokens.values.data(), count, to); });
        return scores;
    }

    py::array_t<std::int64_t> draw(Index count, const DrawOptions& options, std::uint64_t seed, std::uint64_t counter) {
        if (count < 0) throw py::value_error("count: expected at least 0, got " + std::to_string(count));
        auto tokens = new_array<std::int64_t>({count});
        std::int64_t* const to = tokens.mutable_data();
        change([&](auto& s) { s.draw(options, {seed, counter}, to, count); });
        return tokens;
    }

private:
    // work(sampler), without the interpreter's lock
    template <class Work>
    void change(const Work& work) {
        call_.change([&] { std::visit([&](auto& s) { work(*s); }, sampler_); });
    }

    Ids checked(py::object given) const {
        Ids tokens = ids(given, "ids", {{"N"}});
        tokens.require_below("ids", {"V", std::visit([](const auto& s) { return s->classes(); }, sampler_)});
        return tokens;
    }

    std::variant<SamplerPointer<float>, SamplerPointer<double>> sampler_;
    OneCall call_{"sampler"};
};

}  // namespace

void register_sampler(py::module_& module) {
    py::class_<PySampler>(module, "Sampler")
        .def(py::init([](const PyNetwork& network, py::object params, py::object embedding, py::object weight,
                         py::object bias, const std::string& weight_format) {
                 return std::make_unique<PySampler>(network, ModelArrays{params, embedding, weight, bias},
                                                    storage_named(weight_format));
             }),
             py::arg("network"), py::arg("params"), py::arg("embedding"), py::arg("weight"), py::arg("bias"),
             py::arg("weight_format") = "full")
        .def("feed", &PySampler::feed, py::arg("ids"))
        .def("score", &PySampler::score, py::arg("ids"))
        .def(
            "draw",
            [](PySampler& self, Index count, double temperature, Index top_k, double top_p, std::uint64_t seed,
               std::uint64_t counter) { return self.draw(count, {temperature, top_k, top_p}, seed, counter); },
            py::arg("count"), py::arg("temperature"), py::arg("top_k"), py::arg("top_p"), py::arg("seed"),
            py::arg("counter"))
        .def("copy", copied<PySampler>)
        .def("__copy__", copied<PySampler>)
        .def("__deepcopy__", deep_copied<PySampler>, py::arg("memo"));
}

}  // namespace rnncore::bindings
