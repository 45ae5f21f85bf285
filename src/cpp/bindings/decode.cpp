// Decoding: a network and an output layer that take single steps, and choices among their scores.
#include <memory>
#include <variant>
#include <vector>

#include "bindings/arrays.hpp"
#include "bindings/interpreter.hpp"
#include "bindings/network.hpp"
#include "bindings/register.hpp"
#include "rnn/decode/choose.hpp"
#include "rnn/decode/held_network.hpp"
#include "rnn/decode/held_output.hpp"

namespace rnncore::bindings {
namespace {

class PyHeldNetwork {
public:
    PyHeldNetwork(const PyNetwork& network, py::object params, py::object embedding, const std::string& weight_format) {
        network.by_dtype([&]<class T>() {
            const View<T> values = parameter_view<T>(network, params);
            const T* const from = parameters(network, values);
            const auto rows = view_or_none<T>(embedding, "embedding", {{"V"}, {"I", network.network.input(0)}});
            StreamOptions<T> options;
            options.storage = storage_named(weight_format);
            ids_ = rows ? rows.shape[0] : network.network.input(0);
            held_ = without_gil([&] {
                if (!rows) return std::make_unique<HeldNetwork<T>>(network.network, from, options);
                const Rows<T> matrix(rows);
                options.embedding = matrix.matrix();
                return std::make_unique<HeldNetwork<T>>(network.network, from, options);
            });
        });
    }

    py::tuple step(py::object x, py::object state, py::object rows) const {
        return std::visit([&](const auto& held) { return step_of(*held, x, state, rows); }, held_);
    }

private:
    template <class T>
    py::tuple step_of(const HeldNetwork<T>& held, const py::object& x, const py::object& state,
                      const py::object& rows) const {
        const Network& network = held.network();
        Ids tokens;
        View<T> vectors;
        HeldStep<T> s{};
        if (holds_integers(x)) {
            tokens = ids(x, "x", {{"N"}});
            tokens.require_below("x", {"V", ids_});
            s.ids = tokens.values.data();
            s.rows = tokens.shape[0];
        } else {
            vectors = view<T>(x, "x", {{"N"}, {"I", network.input(0)}});
            s.rows = vectors.shape[0];
        }
        const Contiguous<T> values(vectors);
        s.x = values.data();
        s.before_rows = s.rows;
        Ids chosen;
        if (!rows.is_none()) {
            if (state.is_none()) throw py::value_error("rows: expected None where there is no state");
            chosen = ids(rows, "rows", {{"N", s.rows}});
            s.before_rows = rows_of(state);
            chosen.require_below("rows", {"M", s.before_rows});
            s.before_row = chosen.values.data();
        }
        const States<T> before(network, s.before_rows, state, "state");
        s.before = before.pointers();
        NewStates<T> after(network, s.rows);
        s.after = after.pointers;
        auto y = new_array<T>({s.rows, network.output()});
        s.y = y.mutable_data();
        without_gil([&] { held.step(s); });
        return py::make_tuple(std::move(y), py::tuple(after.arrays));
    }

    // M of the first array [L,M,H] of a state; what does not fit is told when all are looked at
    static Index rows_of(const py::object& state) {
        const bool is_list = py::isinstance<py::tuple>(state) || py::isinstance<py::list>(state);
        const py::object first = is_list && py::len(state) > 0 ? py::object(py::tuple(state)[0]) : state;
        if (!py::isinstance<py::array>(first)) return 0;
        const auto array = py::reinterpret_borrow<py::array>(first);
        return array.ndim() == 3 ? array.shape(1) : 0;
    }

    std::variant<std::unique_ptr<HeldNetwork<float>>, std::unique_ptr<HeldNetwork<double>>> held_;
    Index ids_ = 0;
};

class PyHeldOutput {
public:
    PyHeldOutput(py::object weight, py::object bias, const std::string& weight_format) {
        by_dtype(weight, "weight", [&]<class T>() {
            const auto w = view<T>(weight, "weight", {{"V"}, {"H"}});
            if (w.shape[0] == 0) throw py::value_error("weight: expected at least one class, got none");
            const auto b = view_or_none<T>(bias, "bias", {{"V", w.shape[0]}});
            const Storage storage = storage_named(weight_format);
            held_ = without_gil([&] {
                const Rows<T> rows(w);
                const Contiguous<T> values(b);
                return std::make_unique<HeldOutput<T>>(rows.matrix(), values.data(), storage);
            });
        });
    }

    py::object log_probabilities(py::object y) const {
        return with_rows(y, [&]<class T>(const HeldOutput<T>& held, const View<T>& rows) -> py::object {
            auto result = new_array<T>({rows.shape[0], held.classes()});
            T* const to = result.mutable_data();
            without_gil([&] {
                const Rows<T> matrix(rows);
                held.log_probabilities(matrix.matrix(), to);
            });
            return result;
        });
    }

    py::object top(py::object y, Index k) const {
        return with_rows(y, [&]<class T>(const HeldOutput<T>& held, const View<T>& rows) -> py::object {
            require_within(k, held.classes());
            auto values = new_array<double>({rows.shape[0], k});
            auto classes = new_array<std::int64_t>({rows.shape[0], k});
            double* const to = values.mutable_data();
            std::int64_t* const ids = classes.mutable_data();
            without_gil([&] {
                const Rows<T> matrix(rows);
                held.top(matrix.matrix(), k, to, ids);
            });
            return py::make_tuple(std::move(values), std::move(classes));
        });
    }

    py::object of(py::object y, py::object begins, py::object targets) const {
        return with_rows(y, [&]<class T>(const HeldOutput<T>& held, const View<T>& rows) -> py::object {
            const Ids classes = ids(targets, "targets", {{"M"}});
            classes.require_below("targets", {"V", held.classes()});
            const Ids first = ids(begins, "begins", {{"N+1", rows.shape[0] + 1}});
            bool ascend = first.values.front() == 0 && first.values.back() == classes.shape[0];
            for (std::size_t i = 1; i < first.values.size(); ++i)
                ascend = ascend && first.values[i - 1] <= first.values[i];
            if (!ascend) throw py::value_error("begins: expected numbers that ascend from 0 to the number of targets");
            auto result = new_array<double>({classes.shape[0]});
            double* const to = result.mutable_data();
            without_gil([&] {
                const Rows<T> matrix(rows);
                held.of(matrix.matrix(), first.values.data(), classes.values.data(), to);
            });
            return result;
        });
    }

    static void require_within(Index k, Index classes) {
        if (k < 1 || k > classes)
            throw py::value_error("k: expected a number in [1, V=" + std::to_string(classes) + "], got " +
                                  std::to_string(k));
    }

private:
    template <class Work>
    py::object with_rows(py::handle y, const Work& work) const {
        return std::visit(
            [&]<class T>(const std::unique_ptr<HeldOutput<T>>& held) -> py::object {
                const auto rows = view<T>(y, "y", {{"N"}, {"H", held->width()}});
                return work(*held, rows);
            },
            held_);
    }

    std::variant<std::unique_ptr<HeldOutput<float>>, std::unique_ptr<HeldOutput<double>>> held_;
};

py::object top_of_rows(py::object values, Index k) {
    return by_dtype(values, "values", [&]<class T>() -> py::object {
        const auto rows = view<T>(values, "values", {{"N"}, {"V"}});
        PyHeldOutput::require_within(k, rows.shape[1]);
        auto top = new_array<T>({rows.shape[0], k});
        auto columns = new_array<std::int64_t>({rows.shape[0], k});
        T* const to = top.mutable_data();
        std::int64_t* const ids = columns.mutable_data();
        without_gil([&] {
            const Rows<T> matrix(rows);
            rnncore::top_of_rows(matrix.matrix(), k, to, ids);
        });
        return py::make_tuple(std::move(top), std::move(columns));
    });
}

py::object draw_rows(py::object values, const DrawOptions& options, py::object seeds, std::uint64_t counter) {
    return by_dtype(values, "values", [&]<class T>() -> py::object {
        const auto rows = view<T>(values, "values", {{"N"}, {"V"}});
        const Ids seed = ids(seeds, "seeds", {{"N", rows.shape[0]}});
        auto tokens = new_array<std::int64_t>({rows.shape[0]});
        std::int64_t* const to = tokens.mutable_data();
        without_gil([&] {
            const Rows<T> matrix(rows);
            rnncore::draw_rows(matrix.matrix(), options, seed.values.data(), counter, to);
        });
        return tokens;
    });
}

py::tuple best_continuations(py::object values, py::object tokens, py::object totals, py::object sentences,
                             py::object free) {
    return by_dtype(values, "values", [&]<class T>() -> py::tuple {
        const auto rows = view<T>(values, "values", {{"N"}, {"k"}});
        const Dimension count{"N", rows.shape[0]};
        const Ids written = ids(tokens, "ids", {count, {"k", rows.shape[1]}});
        const auto total_view = view<double>(totals, "totals", {count});
        const Contiguous<double> total_values(total_view);
        const Ids left = ids(free, "free", {{"count"}});
        const Ids of = ids(sentences, "owners", {count});
        of.require_below("owners", {"count", left.shape[0]});
        const Rows<T> matrix(rows);
        const auto best = rnncore::best_continuations<T>(
            {matrix.matrix(), total_values.data(), of.values.data(), left.values.data()});
        const auto size = static_cast<Index>(best.size());
        auto from = new_array<std::int64_t>({size});
        auto next = new_array<std::int64_t>({size});
        auto step = new_array<double>({size});
        auto after = new_array<double>({size});
        for (Index i = 0; i < size; ++i) {
            const Continuation& one = best[static_cast<std::size_t>(i)];
            from.mutable_data()[i] = one.row;
            next.mutable_data()[i] = written.values[static_cast<std::size_t>(one.row * rows.shape[1] + one.column)];
            step.mutable_data()[i] = static_cast<double>(matrix.matrix().row(one.row)[one.column]);
            after.mutable_data()[i] = one.total;
        }
        return py::make_tuple(std::move(from), std::move(next), std::move(step), std::move(after));
    });
}

}  // namespace

void register_decode(py::module_& module) {
    py::class_<PyHeldNetwork>(module, "HeldNetwork")
        .def(py::init<const PyNetwork&, py::object, py::object, const std::string&>(), py::arg("network"),
             py::arg("params"), py::arg("embedding") = py::none(), py::arg("weight_format") = "full")
        .def("step", &PyHeldNetwork::step, py::arg("x"), py::arg("state"), py::arg("rows") = py::none());
    py::class_<PyHeldOutput>(module, "HeldOutput")
        .def(py::init<py::object, py::object, const std::string&>(), py::arg("weight"), py::arg("bias"),
             py::arg("weight_format") = "full")
        .def("log_probabilities", &PyHeldOutput::log_probabilities, py::arg("y"))
        .def("top", &PyHeldOutput::top, py::arg("y"), py::arg("k"))
        .def("of", &PyHeldOutput::of, py::arg("y"), py::arg("begins"), py::arg("targets"));
    module.def("top_of_rows", top_of_rows, py::arg("values"), py::arg("k"));
    module.def(
        "draw_rows",
        [](py::object values, double temperature, Index top_k, double top_p, py::object seeds, std::uint64_t counter) {
            return draw_rows(values, {temperature, top_k, top_p}, seeds, counter);
        },
        py::arg("values"), py::arg("temperature"), py::arg("top_k"), py::arg("top_p"), py::arg("seeds"),
        py::arg("counter"));
    module.def("best_continuations", best_continuations, py::arg("values"), py::arg("ids"), py::arg("totals"),
               py::arg("owners"), py::arg("free"));
}

}  // namespace rnncore::bindings
