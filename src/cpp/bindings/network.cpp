// Network and its passes forward: arrays in, checked; the passes of rnn/; arrays out.
#include "bindings/network.hpp"

#include <pybind11/stl.h>

#include <memory>
#include <optional>

#include "bindings/arrays.hpp"
#include "bindings/compute.hpp"
#include "bindings/interpreter.hpp"
#include "bindings/plan.hpp"
#include "bindings/register.hpp"
#include "rnn/checkpoints.hpp"
#include "rnn/forward.hpp"
#include "rnn/frozen.hpp"
#include "rnn/trace.hpp"

namespace rnncore::bindings {
namespace {

Sequence make_sequence(Index steps, Index batch, py::object lengths) {
    if (lengths.is_none()) return Sequence(steps, batch);
    const Ids given = ids(lengths, "lengths", {{"B", batch}});
    for (std::size_t b = 0; b < given.values.size(); ++b) {
        if (given.values[b] < 0 || given.values[b] > steps)
            throw py::value_error("lengths: expected values in [0, T=" + std::to_string(steps) + "], got " +
                                  std::to_string(given.values[b]) + " at [" + std::to_string(b) + "]");
    }
    return Sequence(steps, batch, {given.values.begin(), given.values.end()});
}

// x of a call: floating [T,B,I], or [T,I] where there is no batch; or ids [T,B].
template <class T>
struct Inputs {
    Inputs(const Network& network, py::object given, bool batched) {
        if (!batched) {
            x = view<T>(given, "x", {{"T"}, {"I", network.input(0)}});
            steps = x.shape[0];
            batch = 1;
            x.shape.insert(x.shape.begin() + 1, 1);
            x.strides.insert(x.strides.begin() + 1, network.input(0));
        } else if (holds_integers(given)) {
            ids = bindings::ids(given, "x", {{"T"}, {"B"}});
            ids->require_below("x", {"I", network.input(0)});
            steps = ids->shape[0];
            batch = ids->shape[1];
        } else {
            x = view<T>(given, "x", {{"T"}, {"B"}, {"I", network.input(0)}});
            steps = x.shape[0];
            batch = x.shape[1];
        }
    }

    // Rows [N, I] that the pass reads: the caller's own where they already stand so, otherwise a packed copy.
    const T* rows(const Sequence& sequence, Index width) {
        if (x.contiguous() && !sequence.ragged()) return x.data();
        copy = Block(checked_product(
            checked_product(static_cast<std::size_t>(sequence.rows()), static_cast<std::size_t>(width)), sizeof(T)));
        T* to = static_cast<T*>(copy.data());
        pack_rows<T>(sequence, {x.data(), x.strides[0], x.strides[1], x.strides[2]}, width, to);
        return to;
    }

    std::shared_ptr<const OneHot> one_hot(const Sequence& sequence, Index width) const {
        // the ids of the rows, their slots, and a slot for every column
        require_memory(checked_product(static_cast<std::size_t>(sequence.rows()), 2 * sizeof(std::int64_t)));
        require_memory(checked_product(static_cast<std::size_t>(width), sizeof(std::int32_t)));
        std::vector<std::int64_t> packed(static_cast<std::size_t>(sequence.rows()));
        pack_rows<std::int64_t>(sequence, {ids->values.data(), batch, 1, 1}, 1, packed.data());
        return std::make_shared<const OneHot>(std::move(packed), width);
    }

    View<T> x;
    std::optional<Ids> ids;
    Index steps = 0, batch = 0;
    Block copy;
};

template <class T>
using FrozenPointer = std::unique_ptr<FrozenWeights<T>>;

// A network with parameters that do not change: those of an array that nobody else has.
struct PyFrozen {
    PyFrozen(const PyNetwork& of, py::object params) : network(of) {
        network.by_dtype([&]<class T>() {
            const View<T> values = parameter_view<T>(network, params);
            weights = std::make_unique<FrozenWeights<T>>(network.network, parameters(network, values));
            array = values.owner;
        });
    }

    std::size_t nbytes() const {
        return std::visit([](const auto& w) { return w->bytes(); }, weights);
    }

    PyNetwork network;
    py::object array;
    std::variant<FrozenPointer<float>, FrozenPointer<double>> weights;
};

struct ForwardCall {
    py::object params, x, state, lengths;
    bool keeps = false;                         // what backward needs
    std::optional<std::uint64_t> seed{};        // of dropout between layers; none: without
    std::optional<std::size_t> memory_limit{};  // of what is kept, bytes
    bool needs_output = true;
    const PyFrozen* frozen = nullptr;  // instead of params
    bool batched = true;               // whether arrays have a B
};

// y as the caller sees it: the tape's own rows where they stand in that order, otherwise spread out.
template <class T>
py::object output_array(const TapePointer<T>& tape, std::optional<py::array_t<T>> written) {
    if (written) return *written;
    const Sequence& sequence = tape->sequence;
    const std::vector<Index> shape = {sequence.steps(), sequence.batch(), tape->network.output()};
    if (!tape->keeps || sequence.ragged()) {
        py::array_t<T> y = new_array<T>(shape);
        T* to = y.mutable_data();
        without_gil([&] { unpack_rows(sequence, tape->y(), tape->network.output(), to); });
        return y;
    }
    const py::capsule owner(new TapePointer<T>(tape), [](void* p) { delete static_cast<TapePointer<T>*>(p); });
    return py::array_t<T>(shape, tape->y(), owner);
}

template <class T>
py::tuple run(const PyNetwork& self, const ForwardCall& call) {
    const Network& network = self.network;
    const FrozenWeights<T>* const frozen =
        call.frozen ? std::get<FrozenPointer<T>>(call.frozen->weights).get() : nullptr;
    const View<T> params_view = frozen ? View<T>{} : parameter_view<T>(self, call.params);
    const T* params = frozen ? frozen->params() : parameters(self, params_view);
    Inputs<T> inputs(network, call.x, call.batched);
    const States<T> states(network, inputs.batch, call.state, "state");
    const auto tape = std::make_shared<Tape<T>>(network, make_sequence(inputs.steps, inputs.batch, call.lengths));
    tape->keeps = call.keeps;
    tape->drops = call.seed.has_value() && network.dropout() > 0;
    tape->seed = call.seed.value_or(0);

    const Index steps =
        call.memory_limit ? segment_steps<T>(network, tape->sequence, tape->drops, *call.memory_limit) : inputs.steps;
    const bool checkpoints = steps < inputs.steps;

    NewStates<T> final_states(network, inputs.batch, call.batched);
    std::optional<py::array_t<T>> y;
    if (checkpoints ? call.needs_output : !tape->keeps && !tape->sequence.ragged())
        y = call.batched ? new_array<T>({inputs.steps, inputs.batch, network.output()})
                         : new_array<T>({inputs.steps, network.output()});
    T* const to = y ? y->mutable_data() : nullptr;
    without_gil([&] {
        PassInput<T> in;
        if (inputs.ids)
            tape->one_hot = inputs.one_hot(tape->sequence, network.input(0));
        else
            in.x = inputs.rows(tape->sequence, network.input(0));
        in.state = states.pointers();
        if (checkpoints) {
            tape->checkpoints = std::make_shared<Checkpoints<T>>(*tape, in.x, steps);
            tape->checkpoints->run_forward(params, in.state, to, final_states.pointers);
        } else {
            prepare_tape(*tape, in, to);
            if (frozen)
                run_forward(*tape, *frozen, final_states.pointers);
            else
                run_forward(*tape, params, final_states.pointers);
        }
    });
    const py::tuple final_state(final_states.arrays);
    py::object output = call.needs_output ? output_array<T>(tape, y) : py::none();
    if (!tape->keeps) return py::make_tuple(output, final_state);
    const std::size_t nbytes = tape->arena.size() + inputs.copy.size() + (checkpoints ? tape->checkpoints->bytes() : 0);
    py::object read = inputs.copy.data() ? py::object(py::none()) : py::object(inputs.x.owner);
    tape->input = std::move(inputs.copy);
    return py::make_tuple(output, final_state, PyCache{tape, std::move(read), nbytes});
}

py::tuple pass_forward(const PyNetwork& self, const ForwardCall& call) {
    const auto input = [&] {
        const auto array = py::reinterpret_borrow<py::array>(call.x);
        Shape shape = call.batched ? Shape{{"T"}, {"B"}, {"I"}} : Shape{{"T"}, {"I"}};  // ids have no I
        shape.resize(static_cast<std::size_t>(array.ndim()), {""});
        for (std::size_t d = 0; d < shape.size(); ++d) shape[d].size = array.shape(static_cast<Index>(d));
        return "x of " + text_of(shape);
    };
    return naming(input, [&] { return self.by_dtype([&]<class T>() { return run<T>(self, call); }); });
}

py::list layout(const PyNetwork& self) {
    py::list result;
    for (const Parameter& p : self.network.parameters()) {
        py::tuple shape(p.shape.size());
        for (std::size_t i = 0; i < p.shape.size(); ++i) shape[i] = p.shape[i];
        result.append(py::make_tuple(p.name, p.offset, shape));
    }
    return result;
}

// Of an Elman network there are none: its gate is its output.
std::vector<std::string> gate_names(const PyNetwork& self) {
    const Cell& cell = self.network.cell();
    return {cell.gate_names, cell.gate_names + (cell.sums_in_output ? 0 : cell.gates)};
}

PyNetwork make_network(NetworkOptions options, const std::string& dtype, const ComputeName& compute) {
    if (dtype != "float32" && dtype != "float64")
        throw py::value_error("dtype: expected 'float32' or 'float64', got '" + dtype + "'");
    options.compute = compute_named(compute, dtype == "float32");
    const auto parameters = [&] {
        return "the parameters of input_size=" + std::to_string(options.input) +
               ", hidden_size=" + std::to_string(options.hidden) + ", num_layers=" + std::to_string(options.layers);
    };
    return {naming(parameters, [&] { return Network(options); }), dtype == "float32"};
}

// The arguments of the constructor, in its order.
py::tuple arguments_of(const PyNetwork& self) {
    const NetworkOptions& o = self.network.options();
    const ComputeName compute = o.compute == Compute::bfloat16 ? ComputeName("bfloat16") : std::nullopt;
    const char* const dtype = self.single ? "float32" : "float64";
    return py::make_tuple(o.cell, o.input, o.hidden, o.layers, o.bias, o.bidirectional, o.dropout, dtype, compute);
}

}  // namespace

void register_network(py::module_& module) {
    py::class_<PyCache>(module, "Cache").def_readonly("nbytes", &PyCache::nbytes).def("trace", trace);

    py::class_<PyNetwork>(module, "Network")
        .def(py::init([](const std::string& cell, Index input, Index hidden, Index layers, bool bias,
                         bool bidirectional, double dropout, const std::string& dtype, const ComputeName& compute) {
                 return make_network({cell, input, hidden, layers, bias, bidirectional, dropout}, dtype, compute);
             }),
             py::arg("cell"), py::arg("input_size"), py::arg("hidden_size"), py::arg("num_layers") = 1,
             py::arg("bias") = true, py::arg("bidirectional") = false, py::arg("dropout") = 0.0,
             py::arg("dtype") = "float32", py::arg("compute") = py::none())
        // copies and pickles: made anew
        .def("__reduce__",
             [](const py::object& self) {
                 return py::make_tuple(py::type::of(self), arguments_of(self.cast<const PyNetwork&>()));
             })
        .def_property_readonly("layout", layout)
        .def_property_readonly("gates", gate_names)
        .def_property_readonly("num_params", [](const PyNetwork& n) { return n.network.parameter_count(); })
        .def_property_readonly("num_states", [](const PyNetwork& n) { return n.network.states(); })
        .def(
            "infer",
            [](const PyNetwork& self, py::object params, py::object x, py::object state, py::object lengths) {
                return pass_forward(self, ForwardCall{params, x, state, lengths});
            },
            py::arg("params"), py::arg("x"), py::arg("state") = py::none(), py::arg("lengths") = py::none())
        .def(
            "infer_one",
            [](const PyNetwork& self, py::object params, py::object x) {
                ForwardCall call{params, x, py::none(), py::none()};
                call.batched = false;
                return pass_forward(self, call);
            },
            py::arg("params"), py::arg("x"))
        .def(
            "forward",
            [](const PyNetwork& self, py::object params, py::object x, py::object state, py::object lengths,
               std::optional<std::uint64_t> seed, std::optional<std::size_t> memory_limit, bool needs_output) {
                const ForwardCall call{params, x, state, lengths, true, seed, memory_limit, needs_output};
                return pass_forward(self, call);
            },
            py::arg("params"), py::arg("x"), py::arg("state"), py::arg("lengths"), py::arg("seed"),
            py::arg("memory_limit") = py::none(), py::arg("needs_output") = true)
        .def("backward", backward, py::arg("params"), py::arg("grads"), py::arg("dy"), py::arg("cache"),
             py::arg("dstate"))
        .def(
            "plan",
            [](const PyNetwork& self, Index steps, Index batch, py::object lengths, bool ids, bool training,
               bool frozen) {
                if (steps < 0 || batch < 0) throw py::value_error("steps, batch: expected numbers of at least 0");
                return plan(self, make_sequence(steps, batch, lengths), {ids, training, frozen});
            },
            py::arg("steps"), py::arg("batch"), py::arg("lengths") = py::none(), py::arg("ids") = false,
            py::arg("training") = true, py::arg("frozen") = false);

    py::class_<PyFrozen>(module, "Frozen")
        .def(py::init<const PyNetwork&, py::object>(), py::arg("network"), py::arg("params"))
        .def_property_readonly("nbytes", &PyFrozen::nbytes)
        .def(
            "infer",
            [](const PyFrozen& self, py::object x, py::object state, py::object lengths) {
                ForwardCall call{py::none(), x, state, lengths};
                call.frozen = &self;
                return pass_forward(self.network, call);
            },
            py::arg("x"), py::arg("state") = py::none(), py::arg("lengths") = py::none())
        .def(
            "infer_one",
            [](const PyFrozen& self, py::object x) {
                ForwardCall call{py::none(), x, py::none(), py::none()};
                call.frozen = &self;
                call.batched = false;
                return pass_forward(self.network, call);
            },
            py::arg("x"));
}

}  // namespace rnncore::bindings
