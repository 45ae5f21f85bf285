// Ngram, PrefixModel and PrefixSearch: decoding of what a network with the CTC loss has computed.
#include <algorithm>
#include <atomic>
#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "bindings/arrays.hpp"
#include "bindings/interpreter.hpp"
#include "bindings/one_call.hpp"
#include "bindings/register.hpp"
#include "core/threads.hpp"
#include "rnn/decode/arpa.hpp"
#include "rnn/decode/prefix_search.hpp"

namespace rnncore::bindings {
namespace {

using NgramPointer = std::shared_ptr<const Ngram>;
using ModelPointer = std::shared_ptr<const PrefixModel>;

py::array_t<double> ngram_score(const Ngram& ngram, const py::list& words, bool start, bool end) {
    const auto count = static_cast<Index>(words.size());
    auto result = new_array<double>({count + (end ? 1 : 0)});
    double* to = result.mutable_data();
    Ngram::State state = start ? ngram.start() : Ngram::kRoot;
    const auto read = [&](Ngram::Word word) {
        const Ngram::Step step = ngram.step(state, word);
        *to++ = step.log10;
        state = step.state;
    };
    for (const py::handle word : words) read(ngram.known(py::cast<std::string>(word)));
    if (end) read(ngram.end());
    return result;
}

py::list ngram_words(const Ngram& ngram) {
    py::list words;
    for (const std::string& word : ngram.words()) words.append(py::str(word));
    return words;
}

// Calls each(tokens, count, i) for each list of tokens; `ends` says where they end, one after the other.
template <class Each>
void for_lists(const Ids& tokens, const Ids& ends, const Each& each) {
    std::int64_t first = 0;
    for (std::size_t i = 0; i < ends.values.size(); ++i) {
        each(tokens.values.data() + first, ends.values[i] - first, i);
        first = ends.values[i];
    }
}

Unit unit_named(const std::string& name) {
    return name == "symbols" ? Unit::symbol : name == "words" ? Unit::word : Unit::none;
}

struct ModelArguments {
    py::dict options;
    py::object lexicon_symbols, lexicon_ends, lexicon_words, known_words;
    py::object hot_tokens, hot_ends, hot_weights;
    NgramPointer ngram;
    py::object ngram_words;
};

ModelPointer make_model(const ModelArguments& from) {
    auto model = std::make_shared<PrefixModel>();
    PrefixOptions& to = model->options;
    const auto set = [&]<class T>(const char* name, T& value) {
        if (from.options.contains(name)) value = py::cast<T>(from.options[name]);
    };
    const auto set_unit = [&](const char* name, Unit& value) {
        if (from.options.contains(name)) value = unit_named(py::cast<std::string>(from.options[name]));
    };
    set("symbols", to.symbols);
    set("blank", to.blank);
    set("separator", to.separator);
    set("only_words", to.only_words);
    set("words", to.words);
    set("beam_size", to.beam_size);
    set("most_symbols", to.most_symbols);
    set("least_symbol", to.least_symbol);
    set("beam_threshold", to.beam_threshold);
    set("word_bonus", to.word_bonus);
    set("symbol_bonus", to.symbol_bonus);
    set("unknown_bonus", to.unknown_bonus);
    set("ngram_weight", to.ngram_weight);
    set("model_weight", to.model_weight);
    set_unit("ngram_unit", to.ngram_unit);
    set_unit("model_unit", to.model_unit);
    set_unit("hot_unit", to.hot_unit);

    const Ids known = ids(from.known_words, "known_words", {{"words + 1", to.words + 1}});
    model->known_words.assign(known.values.begin(), known.values.end());
    const Ids symbols = ids(from.lexicon_symbols, "lexicon_symbols", {{"N"}});
    const Ids ends = ids(from.lexicon_ends, "lexicon_ends", {{"spellings"}});
    const Ids words = ids(from.lexicon_words, "lexicon_words", {{"spellings", ends.shape[0]}});
    for_lists(symbols, ends, [&](const std::int64_t* spelling, std::int64_t count, std::size_t i) {
        model->lexicon.add(spelling, count, static_cast<std::int32_t>(words.values[i]));
    });
    const Ids hot_tokens = ids(from.hot_tokens, "hot_tokens", {{"N"}});
    const Ids hot_ends = ids(from.hot_ends, "hot_ends", {{"patterns"}});
    const auto weights = view<double>(from.hot_weights, "hot_weights", {{"patterns", hot_ends.shape[0]}});
    for_lists(hot_tokens, hot_ends, [&](const std::int64_t* pattern, std::int64_t count, std::size_t i) {
        model->hot_words.add(pattern, count, weights.data()[static_cast<Index>(i) * weights.strides[0]]);
    });
    model->hot_words.finish();
    if (from.ngram) {
        model->ngram = from.ngram;
        const Ids ngram_words = ids(from.ngram_words, "ngram_words", {{"units", model->units(to.ngram_unit)}});
        model->ngram_words.assign(ngram_words.values.begin(), ngram_words.values.end());
    }
    return model;
}

// Some sequences that are searched at once.
class PySearch {
public:
    PySearch(ModelPointer model, Index count) : model_(std::move(model)) {
        if (count < 0) throw py::value_error("count: expected at least 0, got " + std::to_string(count));
        for (Index i = 0; i < count; ++i) searches_.emplace_back(model_);
    }

    PySearch(const PySearch& other) : model_(other.model_) {
        other.call_.read([&] { searches_ = other.searches_; });
    }

    py::array_t<std::int64_t> advance(const py::list& pieces, py::object first) {
        const auto count = static_cast<Index>(searches_.size());
        const Ids begin = ids(first, "first", {{"sequences", count}});
        if (static_cast<Index>(pieces.size()) != count)
            throw py::value_error("pieces: expected " + std::to_string(count) + ", got " +
                                  std::to_string(pieces.size()));
        std::vector<View<float>> singles;
        std::vector<View<double>> doubles;
        std::vector<Frames> frames;
        double steps = 0;
        for (const py::handle piece : pieces) {
            const Shape shape{{"T"}, {"C", model_->options.symbols}};
            if (py::isinstance<py::array_t<float>>(piece)) {
                const auto& v = singles.emplace_back(view<float>(piece, "log_probabilities", shape));
                frames.push_back({v.data(), nullptr, v.shape[0], v.strides[0], v.strides[1]});
            } else {
                const auto& v = doubles.emplace_back(view<double>(piece, "log_probabilities", shape));
                frames.push_back({nullptr, v.data(), v.shape[0], v.strides[0], v.strides[1]});
            }
            steps += static_cast<double>(frames.back().steps);
        }
        auto result = new_array<std::int64_t>({count});
        std::int64_t* const to = result.mutable_data();
        constexpr double kFlopsOfHypothesis = 1000;  // in one frame
        const double work = steps * model_->options.beam_size * kFlopsOfHypothesis;
        call_.change([&] {
            run(work, [&](std::size_t i, const std::function<bool()>& stopped) {
                to[i] = begin.values[i];
                Frames piece = frames[i];
                while (to[i] < frames[i].steps && searches_[i].requests().empty() && !stopped()) {
                    piece.steps = std::min(frames[i].steps, to[i] + kStepsAtOnce);
                    to[i] = searches_[i].advance(piece, to[i]);
                }
            });
        });
        return result;
    }

    void finish() {
        call_.change([&] {
            for (PrefixSearch& search : searches_) search.finish();
        });
    }

    py::array_t<std::int64_t> requests() const {
        std::vector<std::int64_t> rows;
        call_.read([&] {
            for (std::size_t i = 0; i < searches_.size(); ++i)
                for (const auto& request : searches_[i].requests())
                    rows.insert(rows.end(),
                                {static_cast<std::int64_t>(i), request.parent, request.unit, request.context});
        });
        auto result = new_array<std::int64_t>({static_cast<Index>(rows.size() / 4), 4});
        std::copy(rows.begin(), rows.end(), result.mutable_data());
        return result;
    }

    void supply(py::object given) {
        std::size_t count = 0;
        call_.read([&] {
            for (const PrefixSearch& search : searches_) count += search.requests().size();
        });
        const Index units = model_->units(model_->options.model_unit) + 1;
        const auto rows = view<double>(given, "rows", {{"requests", static_cast<Index>(count)}, {"units", units}});
        call_.change([&] {
            const Contiguous<double> values(rows);
            const double* from = values.data();
            for (PrefixSearch& search : searches_) {
                const auto taken = static_cast<Index>(search.requests().size());
                search.supply(from);
                from += taken * units;
            }
        });
    }

    py::list best(std::size_t n) {
        std::vector<std::vector<Hypothesis>> found(searches_.size());
        call_.change([&] {
            for (std::size_t i = 0; i < searches_.size(); ++i) found[i] = searches_[i].best(n);
        });
        py::list result;
        for (const auto& hypotheses : found) {
            py::list list;
            for (const Hypothesis& h : hypotheses) list.append(as_tuple(h));
            result.append(list);
        }
        return result;
    }

    // The sum over all sequences.
    std::size_t count(std::size_t (PrefixSearch::*of)() const) const {
        std::size_t sum = 0;
        call_.read([&] {
            for (const PrefixSearch& search : searches_) sum += (search.*of)();
        });
        return sum;
    }

private:
    static constexpr std::int64_t kStepsAtOnce = 16;  // between two looks at whether to stop

    // work(i, stopped) for every sequence, which threads take one after the other.
    template <class Work>
    void run(double flops, const Work& work) {
        std::atomic<std::size_t> next{0};
        std::atomic<bool> failed{false};
        std::exception_ptr error;
        const int threads = std::min(threads_for(flops), static_cast<int>(std::max<std::size_t>(searches_.size(), 1)));
        run_parallel(threads, [&](int thread, Team& team) {
            const std::function<bool()> stopped = [&] {
                team.poll(thread);
                return team.stopped() || failed.load();
            };
            for (std::size_t i = next++; i < searches_.size() && !stopped(); i = next++) {
                try {
                    work(i, stopped);
                } catch (...) {  // for want of memory
                    if (!failed.exchange(true)) error = std::current_exception();
                }
            }
        });
        if (error) std::rethrow_exception(error);
    }

    static py::tuple as_tuple(const Hypothesis& h) {
        py::list words;
        for (const auto& [word, first, end] : h.words) words.append(py::make_tuple(word, first, end));
        const auto list = [](const auto& values) {
            py::list result;
            for (const auto value : values) result.append(value);
            return result;
        };
        return py::make_tuple(h.score, list(h.symbols), list(h.starts), list(h.ends), list(h.probabilities), words);
    }

    ModelPointer model_;
    std::vector<PrefixSearch> searches_;
    OneCall call_{"stream"};
};

}  // namespace

void register_ctc_search(py::module_& module) {
    py::class_<Ngram, std::shared_ptr<Ngram>>(module, "Ngram")
        .def(py::init([](const py::bytes& text, const std::string& name, double log10_unknown) {
                 const std::string_view view(text);
                 return without_gil([&] { return std::make_shared<Ngram>(read_arpa(view, name, log10_unknown)); });
             }),
             py::arg("text"), py::arg("name"), py::arg("log10_unknown"))
        .def_property_readonly("order", &Ngram::order)
        .def_property_readonly("size", &Ngram::size)
        .def("words", ngram_words)
        .def(
            "id", [](const Ngram& ngram, const std::string& word) { return ngram.known(word); }, py::arg("word"))
        .def("score", ngram_score, py::arg("words"), py::arg("start"), py::arg("end"));
    py::class_<PrefixModel, std::shared_ptr<PrefixModel>>(module, "PrefixModel")
        .def(py::init([](const py::dict& options, py::object lexicon_symbols, py::object lexicon_ends,
                         py::object lexicon_words, py::object known_words, py::object hot_tokens, py::object hot_ends,
                         py::object hot_weights, std::shared_ptr<Ngram> ngram, py::object ngram_words) {
                 return std::const_pointer_cast<PrefixModel>(
                     make_model({options, lexicon_symbols, lexicon_ends, lexicon_words, known_words, hot_tokens,
                                 hot_ends, hot_weights, ngram, ngram_words}));
             }),
             py::arg("options"), py::arg("lexicon_symbols"), py::arg("lexicon_ends"), py::arg("lexicon_words"),
             py::arg("known_words"), py::arg("hot_tokens"), py::arg("hot_ends"), py::arg("hot_weights"),
             py::arg("ngram").none(true), py::arg("ngram_words"));
    py::class_<PySearch>(module, "PrefixSearch")
        .def(py::init([](std::shared_ptr<PrefixModel> model, Index count) {
                 return std::make_unique<PySearch>(std::move(model), count);
             }),
             py::arg("model"), py::arg("count"))
        .def("copy", copied<PySearch>)
        .def("advance", &PySearch::advance, py::arg("pieces"), py::arg("first"))
        .def("finish", &PySearch::finish)
        .def("requests", &PySearch::requests)
        .def("supply", &PySearch::supply, py::arg("rows"))
        .def("best", &PySearch::best, py::arg("n"))
        .def_property_readonly("num_prefixes", [](const PySearch& s) { return s.count(&PrefixSearch::prefixes); })
        .def_property_readonly("num_spans", [](const PySearch& s) { return s.count(&PrefixSearch::spans); });
}

}  // namespace rnncore::bindings
