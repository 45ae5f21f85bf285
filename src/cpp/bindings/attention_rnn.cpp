// The decoder whose step reads the context of the step before.
#include <pybind11/stl.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <variant>

#include "bindings/attention.hpp"
#include "bindings/compute.hpp"
#include "bindings/interpreter.hpp"
#include "bindings/register.hpp"
#include "rnn/attention_rnn/backward.hpp"
#include "rnn/attention_rnn/forward.hpp"

namespace rnncore::bindings {
namespace {

struct PyAttentionRnn {
    AttentionRnn layer;
    bool single;  // float32, otherwise float64

    template <class Work>
    auto by_dtype(Work&& work) const {
        return single ? work.template operator()<float>() : work.template operator()<double>();
    }
};

template <class T>
using DecoderTape = std::shared_ptr<AttentionRnnTape<T>>;

struct PyAttentionRnnCache {
    std::variant<DecoderTape<float>, DecoderTape<double>> tape;
    // what the tape reads, kept
    py::object memory, x;
    std::shared_ptr<const void> memory_rows;
    Block copy;  // of x
    std::size_t nbytes;
};

template <class T>
void require_widths(const AttentionRnn& layer, const AttentionMemory<T>& memory, bool projects_query) {
    if (memory.value_width != layer.context() || (!projects_query && memory.width != layer.hidden()))
        throw py::value_error("memory: expected values of width " + std::to_string(layer.context()) +
                              ", and keys of width " + std::to_string(layer.hidden()) +
                              " without a projection of the queries, got " + std::to_string(memory.value_width) +
                              " and " + std::to_string(memory.width));
}

// The list [first, last, query_weight, query_bias, v] of arrays, of which the last three may be None.
template <class T>
class Params {
public:
    Params(const AttentionRnn& layer, const py::list& given, Index width) {
        const Dimension rows{"A", width}, columns{"H", layer.hidden()};
        arrays_.first = add(given[0], "first", {{"P", layer.first().parameter_count()}});
        arrays_.last = add(given[1], "last", {{"P", layer.last_count()}});
        arrays_.query_weight = add(given[2], "query_weight", {rows, columns});
        arrays_.query_bias = add(given[3], "query_bias", {rows});
        arrays_.v = add(given[4], "v", {rows});
    }
    const AttentionRnnArrays<const T>& arrays() const& { return arrays_; }
    const AttentionRnnArrays<const T>& arrays() const&& = delete;

private:
    const T* add(const py::object& array, const char* name, const Shape& shape) {
        auto rows = view_or_none<T>(array, name, shape);
        if (rows && !rows.contiguous()) throw py::value_error(std::string(name) + ": expected a contiguous array");
        views_.push_back(std::move(rows));
        return views_.back().data();
    }
    std::vector<View<T>> views_;
    AttentionRnnArrays<const T> arrays_;
};

template <class T>
AttentionRnnArrays<T> gradients(const AttentionRnn& layer, const std::vector<py::object>& given, Index width) {
    const Dimension rows{"A", width}, columns{"H", layer.hidden()};
    AttentionRnnArrays<T> out;
    out.first = writeable<T>(given[0], "dfirst", {{"P", layer.first().parameter_count()}});
    out.last = writeable<T>(given[1], "dlast", {{"P", layer.last_count()}});
    out.query_weight = writeable_or_none<T>(given[2], "dquery_weight", {rows, columns});
    out.query_bias = writeable_or_none<T>(given[3], "dquery_bias", {rows});
    out.v = writeable_or_none<T>(given[4], "dv", {rows});
    return out;
}

// Arrays [B,H] of a state, of which each may be None, as all of it may.
template <class T>
class GivenStates {
public:
    GivenStates(const AttentionRnn& layer, Index batch, const py::object& given, const char* name) {
        std::vector<py::object> arrays(static_cast<std::size_t>(layer.states()), py::none());
        if (!given.is_none()) arrays = given.cast<std::vector<py::object>>();
        if (arrays.size() != static_cast<std::size_t>(layer.states()))
            throw py::value_error(std::string(name) + ": expected " + std::to_string(layer.states()) + " arrays");
        views_.reserve(arrays.size());
        values_.reserve(arrays.size());
        for (const py::object& array : arrays) {
            views_.push_back(view_or_none<T>(array, name, {{"B", batch}, {"H", layer.hidden()}}));
            values_.emplace_back(views_.back());
            pointers_.push_back(values_.back().data());
        }
    }
    const std::vector<const T*>& pointers() const& { return pointers_; }
    const std::vector<const T*>& pointers() const&& = delete;

private:
    std::vector<View<T>> views_;
    std::vector<Contiguous<T>> values_;
    std::vector<const T*> pointers_;
};

template <class T>
struct NewDecoderStates {
    NewDecoderStates(const AttentionRnn& layer, Index batch) {
        for (int i = 0; i < layer.states(); ++i) {
            auto array = new_array<T>({batch, layer.hidden()});
            pointers.push_back(array.mutable_data());
            arrays.append(std::move(array));
        }
    }
    py::list arrays;
    std::vector<T*> pointers;
};

Sequence target_sequence(Index steps, Index batch, const py::object& lengths) {
    if (lengths.is_none()) return Sequence(steps, batch);
    const Ids given = ids(lengths, "lengths", {{"B", batch}});
    given.require_below("lengths", {"T+1", steps + 1});
    return Sequence(steps, batch, {given.values.begin(), given.values.end()});
}

// Packed rows [N, width]: the caller's own where they already stand so, otherwise a copy.
template <class T>
const T* target_rows(const Sequence& sequence, const View<T>& given, Index width, Block& copy) {
    if (given.contiguous() && !sequence.ragged()) return given.data();
    copy = Block(checked_product(
        checked_product(static_cast<std::size_t>(sequence.rows()), static_cast<std::size_t>(width)), sizeof(T)));
    T* const to = static_cast<T*>(copy.data());
    pack_rows<T>(sequence, {given.data(), given.strides[0], given.strides[1], given.strides[2]}, width, to);
    return to;
}

struct DecoderCall {
    py::list params;
    py::object x, memory, state, lengths;
    bool keeps;
};

template <class T>
py::tuple run(const PyAttentionRnn& self, const DecoderCall& call) {
    const AttentionRnn& layer = self.layer;
    const auto checked = std::make_shared<CheckedMemory<T>>(call.memory.cast<const PyAttentionMemory&>());
    const AttentionMemory<T>& memory = **checked;
    const Params<T> params(layer, call.params, memory.width);
    const bool projects = params.arrays().query_weight != nullptr;
    require_widths(layer, memory, projects);
    const auto x = view<T>(call.x, "x", {{"T"}, {"B", memory.rows.batch()}, {"I", layer.input()}});
    const Index steps = x.shape[0], batch = x.shape[1];
    const GivenStates<T> states(layer, batch, call.state, "state");
    const auto tape = std::make_shared<AttentionRnnTape<T>>(layer, target_sequence(steps, batch, call.lengths), memory);
    tape->keeps = call.keeps;
    NewDecoderStates<T> final_state(layer, batch);
    const bool shares = call.keeps && !tape->sequence.ragged();
    std::optional<py::array_t<T>> y;
    if (!shares) y = new_array<T>({steps, batch, layer.output()});
    T* const to = y ? y->mutable_data() : nullptr;
    Block copy;
    without_gil([&] {
        for (Index b = 0; b < batch; ++b) tape->reads.push_back(tape->sequence.user_row(b));
        tape->x = target_rows(tape->sequence, x, layer.input(), copy);
        prepare_tape(*tape, projects, states.pointers());
        run_forward(*tape, params.arrays(), final_state.pointers);
        if (to) unpack_rows<T>(tape->sequence, tape->y.data, layer.output(), to);
    });
    if (shares) {
        const py::capsule owner(new DecoderTape<T>(tape), [](void* p) { delete static_cast<DecoderTape<T>*>(p); });
        y = py::array_t<T>(std::vector<Index>{steps, batch, layer.output()}, tape->y.data, owner);
    }
    const py::tuple finals(final_state.arrays);
    if (!call.keeps) return py::make_tuple(*y, finals);
    const std::size_t nbytes = tape->arena.size() + copy.size();
    py::object read = copy.data() ? py::object(py::none()) : py::object(x.owner);
    return py::make_tuple(*y, finals,
                          PyAttentionRnnCache{tape, call.memory, std::move(read), checked, std::move(copy), nbytes});
}

py::tuple forward_call(const PyAttentionRnn& self, const DecoderCall& call) {
    const auto purpose = [&] {
        const auto array = py::reinterpret_borrow<py::array>(call.x);
        Shape shape = {{"T"}, {"B"}, {"I"}};
        for (std::size_t d = 0; d < 3 && static_cast<Index>(d) < array.ndim(); ++d)
            shape[d].size = array.shape(static_cast<Index>(d));
        return "x of " + text_of(shape);
    };
    return naming(purpose, [&] { return self.by_dtype([&]<class T>() { return run<T>(self, call); }); });
}

template <class T>
const AttentionRnnTape<T>& decoder_tape(const PyAttentionRnn& self, const PyAttentionRnnCache& cache) {
    const auto* tape = std::get_if<DecoderTape<T>>(&cache.tape);
    if (!tape || (*tape)->layer.first().parameter_count() != self.layer.first().parameter_count() ||
        (*tape)->layer.last_count() != self.layer.last_count())
        throw py::value_error("cache: expected the cache of a forward pass of this layer, got another layer's");
    return **tape;
}

py::tuple backward_call(const PyAttentionRnn& self, py::list params_given, const std::vector<py::object>& grads,
                        py::object dy_given, const PyAttentionRnnCache& cache, py::object dstate) {
    return self.by_dtype([&]<class T>() -> py::tuple {
        const AttentionRnn& layer = self.layer;
        const AttentionRnnTape<T>& tape = decoder_tape<T>(self, cache);
        const Sequence& sequence = tape.sequence;
        const Params<T> params(layer, params_given, tape.memory.width);
        if (grads.size() != 5) throw py::value_error("grads: expected 5 arrays");
        const Index steps = sequence.steps(), batch = sequence.batch(), width = layer.input();
        const auto dy = view_or_none<T>(dy_given, "dy", {{"T", steps}, {"B", batch}, {"H", layer.output()}});
        const GivenStates<T> final_gradients(layer, batch, dstate, "dstate");
        NewDecoderStates<T> initial(layer, batch);
        auto dx = new_array<T>({steps, batch, width});
        auto dvalues = new_array<T>({tape.memory.rows.rows(), tape.memory.value_width});
        std::optional<py::array_t<T>> dkeys;
        if (tape.memory.keys != tape.memory.values) dkeys = new_array<T>({tape.memory.rows.rows(), tape.memory.width});
        AttentionRnnBackwardOutput<T> out{gradients<T>(layer, grads, tape.memory.width), dx.mutable_data(), nullptr,
                                          dvalues.mutable_data(), initial.pointers};
        out.dkeys = dkeys ? dkeys->mutable_data() : out.dvalues;
        const Index key_size = dkeys ? dkeys->size() : 0, value_size = dvalues.size();
        T* const to = out.dx;
        naming([&] { return std::string("a backward pass"); },
               [&] {
                   without_gil([&] {
                       Block copy, spread;
                       AttentionRnnBackwardInput<T> in{nullptr, final_gradients.pointers()};
                       if (dy) in.dy = target_rows(sequence, dy, layer.output(), copy);
                       if (sequence.ragged()) {
                           spread = Block(checked_product(checked_product(static_cast<std::size_t>(sequence.rows()),
                                                                          static_cast<std::size_t>(width)),
                                                          sizeof(T)));
                           out.dx = static_cast<T*>(spread.data());
                       }
                       std::fill_n(out.dvalues, value_size, T(0));
                       if (key_size > 0) std::fill_n(out.dkeys, key_size, T(0));
                       run_backward(tape, params.arrays(), in, out);
                       if (sequence.ragged()) unpack_rows<T>(sequence, out.dx, width, to);
                   });
               });
        return py::make_tuple(dx, dkeys ? py::object(*dkeys) : py::object(py::none()), dvalues,
                              py::tuple(initial.arrays));
    });
}

// [T,B,heads,steps], zero past the ends
template <class T>
py::array_t<T> attention_weights(const AttentionRnnTape<T>& tape, Index steps) {
    const Sequence& sequence = tape.sequence;
    const Index heads = tape.memory.heads;
    auto result = new_array<T>({sequence.steps(), sequence.batch(), heads, steps});
    T* const to = result.mutable_data();
    std::fill_n(to, result.size(), T(0));
    for (Index b = 0; b < sequence.batch(); ++b) {
        const Index count = tape.memory_steps(b), pitch = padded_weights(count);
        for (Index t = 0; t < sequence.length(b); ++t) {
            T* const row = to + (t * sequence.batch() + sequence.user_row(b)) * heads * steps;
            for (Index head = 0; head < heads; ++head)
                std::copy_n(tape.weights_of(b, t) + head * pitch, count, row + head * steps);
        }
    }
    return result;
}

template <class T>
using HeldPointer = std::unique_ptr<HeldAttentionRnn<T>>;

// A layer with parameters that nobody changes any more.
struct PyHeldAttentionRnn {
    PyHeldAttentionRnn(const PyAttentionRnn& of, py::list params_given, Index width) : single(of.single) {
        of.by_dtype([&]<class T>() {
            const Params<T> params(of.layer, params_given, width);
            held = std::make_unique<HeldAttentionRnn<T>>(of.layer, params.arrays(), width);
        });
        params = std::move(params_given);
    }
    std::variant<HeldPointer<float>, HeldPointer<double>> held;
    bool single;
    py::object params;
};

// One step of N rows, of which each reads a sequence of the memory.
template <class T>
py::tuple step(const HeldAttentionRnn<T>& held, py::object x_given, py::object memory_given, py::object state,
               py::object rows_given) {
    const AttentionRnn& layer = held.layer();
    const auto& given = memory_given.cast<const PyAttentionMemory&>();
    const CheckedMemory<T> checked(given);
    const AttentionMemory<T>& memory = *checked;
    const bool projects = held.params().query_weight != nullptr;
    require_widths(layer, memory, projects);
    const auto x = view<T>(x_given, "x", {{"N"}, {"I", layer.input()}});
    const Index rows = x.shape[0];
    const Ids of = ids(rows_given, "rows", {{"N", rows}});
    of.require_below("rows", {"B", memory.rows.batch()});
    const GivenStates<T> states(layer, rows, state, "state");
    NewDecoderStates<T> final_state(layer, rows);
    auto y = new_array<T>({rows, layer.output()});
    const Index steps = given.steps;
    auto weights = new_array<T>({rows, steps});
    T *const to_y = y.mutable_data(), *const to_weights = weights.mutable_data();
    without_gil([&] {
        const Contiguous<T> inputs(x);
        AttentionRnnTape<T> tape(layer, Sequence(1, rows), memory);
        tape.reads.assign(of.values.begin(), of.values.end());
        tape.x = inputs.data();
        prepare_tape(tape, projects, states.pointers());
        run_forward(tape, held.params(), final_state.pointers, &held);
        std::copy_n(tape.y.data, rows * layer.output(), to_y);
        // the mean of the heads
        std::fill_n(to_weights, rows * steps, T(0));
        for (Index n = 0; n < rows; ++n) {
            const Index count = tape.memory_steps(n);
            for (Index head = 0; head < memory.heads; ++head) {
                const T* const from = tape.weights_of(n, 0) + head * padded_weights(count);
                for (Index s = 0; s < count; ++s) to_weights[n * steps + s] += from[s] / static_cast<T>(memory.heads);
            }
        }
    });
    return py::make_tuple(y, py::tuple(final_state.arrays), weights);
}

PyAttentionRnn make_layer(AttentionRnnOptions options, const std::string& feeding, const std::string& dtype,
                          const ComputeName& compute) {
    if (feeding != "input" && feeding != "conditional")
        throw py::value_error("feeding: expected 'input' or 'conditional', got '" + feeding + "'");
    if (dtype != "float32" && dtype != "float64")
        throw py::value_error("dtype: expected 'float32' or 'float64', got '" + dtype + "'");
    options.feeding = feeding == "input" ? Feeding::input : Feeding::conditional;
    options.compute = compute_named(compute, dtype == "float32");
    return {AttentionRnn(options), dtype == "float32"};
}

py::tuple arguments_of(const PyAttentionRnn& self) {
    const AttentionRnnOptions& o = self.layer.options();
    const ComputeName compute = o.compute == Compute::bfloat16 ? ComputeName("bfloat16") : std::nullopt;
    return py::make_tuple(o.cell, o.input, o.hidden, o.context, self.layer.feeds_input() ? "input" : "conditional",
                          o.outputs_context, o.bias, self.single ? "float32" : "float64", compute);
}

}  // namespace

void register_attention_rnn(py::module_& module) {
    py::class_<PyAttentionRnnCache>(module, "AttentionRNNCache")
        .def_readonly("nbytes", &PyAttentionRnnCache::nbytes)
        .def(
            "weights",
            [](const PyAttentionRnnCache& self, Index steps) {
                return std::visit([&](const auto& tape) -> py::object { return attention_weights(*tape, steps); },
                                  self.tape);
            },
            py::arg("steps"));

    py::class_<PyAttentionRnn>(module, "AttentionRNN")
        .def(py::init([](const std::string& cell, Index input, Index hidden, Index context, const std::string& feeding,
                         bool outputs_context, bool bias, const std::string& dtype, const ComputeName& compute) {
                 AttentionRnnOptions options;
                 options.cell = cell;
                 options.input = input;
                 options.hidden = hidden;
                 options.context = context;
                 options.outputs_context = outputs_context;
                 options.bias = bias;
                 return make_layer(std::move(options), feeding, dtype, compute);
             }),
             py::arg("cell"), py::arg("input_size"), py::arg("hidden_size"), py::arg("context_size"),
             py::arg("feeding"), py::arg("outputs_context") = false, py::arg("bias") = true,
             py::arg("dtype") = "float32", py::arg("compute") = py::none())
        .def("__reduce__",
             [](const py::object& self) {
                 return py::make_tuple(py::type::of(self), arguments_of(self.cast<const PyAttentionRnn&>()));
             })
        .def(
            "infer",
            [](const PyAttentionRnn& self, py::list params, py::object x, py::object memory, py::object state,
               py::object lengths) { return forward_call(self, {params, x, memory, state, lengths, false}); },
            py::arg("params"), py::arg("x"), py::arg("memory"), py::arg("state"), py::arg("lengths"))
        .def(
            "forward",
            [](const PyAttentionRnn& self, py::list params, py::object x, py::object memory, py::object state,
               py::object lengths) { return forward_call(self, {params, x, memory, state, lengths, true}); },
            py::arg("params"), py::arg("x"), py::arg("memory"), py::arg("state"), py::arg("lengths"))
        .def("backward", backward_call, py::arg("params"), py::arg("grads"), py::arg("dy"), py::arg("cache"),
             py::arg("dstate"));

    py::class_<PyHeldAttentionRnn>(module, "HeldAttentionRNN")
        .def(py::init<const PyAttentionRnn&, py::list, Index>(), py::arg("layer"), py::arg("params"),
             py::arg("key_size"))
        .def(
            "step",
            [](const PyHeldAttentionRnn& self, py::object x, py::object memory, py::object state, py::object rows) {
                return std::visit([&](const auto& held) { return step(*held, x, memory, state, rows); }, self.held);
            },
            py::arg("x"), py::arg("memory"), py::arg("state"), py::arg("rows"));
}

}  // namespace rnncore::bindings
