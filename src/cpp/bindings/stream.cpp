// Stream: a network that goes on where it stopped.
#include "rnn/stream.hpp"

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <variant>

#include "bindings/arrays.hpp"
#include "bindings/interpreter.hpp"
#include "bindings/network.hpp"
#include "bindings/one_call.hpp"
#include "bindings/register.hpp"

namespace rnncore::bindings {
namespace {

// Inputs and outputs [T,B,*] of a call: one step goes without T, and a single sequence may go without B.
struct Layout {
    bool time, batched;
    Index steps, batch;

    // `last`: the size behind T and B, none where negative
    Shape shape(Dimension last) const {
        Shape expected;
        if (time) expected.push_back(steps < 0 ? Dimension{"T"} : Dimension{"T", steps});
        if (batched) expected.push_back({"B", batch});
        if (last.size >= 0) expected.push_back(last);
        return expected;
    }

    bool fits(const py::array& array, Index last) const {
        py::ssize_t rank = 0;
        const auto next_is = [&](Index size) { return rank < array.ndim() && array.shape(rank++) == size; };
        if (time && !(steps < 0 ? rank++ < array.ndim() : next_is(steps))) return false;
        return (!batched || next_is(batch)) && (last < 0 || next_is(last)) && rank == array.ndim();
    }
};

// The elements of an array that is laid out just so, or null. It takes no memory, which Views and Shapes do: a step in
// real time is to take none. Whatever gives null is told, or mended, by them.
template <class T>
T* elements(py::handle given, const Layout& layout, Index last) {
    if (!py::array_t<T, py::array::c_style>::check_(given)) return nullptr;
    const auto array = py::reinterpret_borrow<py::array>(given);
    void* const data = const_cast<void*>(array.data());
    return layout.fits(array, last) && reinterpret_cast<std::uintptr_t>(data) % alignof(T) == 0 ? static_cast<T*>(data)
                                                                                                : nullptr;
}

template <class T>
struct StreamInput {
    StreamInput(const Stream<T>& stream, py::handle given, bool time) {
        const Index width = stream.network().input(0);
        const bool holds_ids = holds_integers(given);
        const bool array = py::isinstance<py::array>(given);
        const py::ssize_t rank = array ? py::reinterpret_borrow<py::array>(given).ndim() : 0;
        const bool single = array && stream.batch() == 1 && rank == (time ? 1 : 0) + (holds_ids ? 0 : 1);
        layout = {time, !single, -1, stream.batch()};
        if (holds_ids)
            take_ids(given, width);
        else
            take_rows(given, width);
        layout.steps = time ? py::reinterpret_borrow<py::array>(given).shape(0) : 1;
    }

    Layout layout;
    const T* x = nullptr;               // [steps,B,I], or
    const std::int64_t* ids = nullptr;  // [steps,B]

private:
    void take_ids(py::handle given, Index width) {
        ids = elements<std::int64_t>(given, layout, -1);
        const auto outside = [&](std::int64_t id) { return id < 0 || id >= width; };
        if (ids && std::none_of(ids, ids + py::reinterpret_borrow<py::array>(given).size(), outside)) return;
        copied_ids_ = bindings::ids(given, "x", layout.shape({"", -1}));
        copied_ids_->require_below("x", {"I", width});
        ids = copied_ids_->values.data();
    }

    void take_rows(py::handle given, Index width) {
        x = elements<T>(given, layout, width);
        if (x) return;
        view_.emplace(view<T>(given, "x", layout.shape({"I", width})));
        values_.emplace(*view_);
        x = values_->data();
    }

    std::optional<Ids> copied_ids_;
    std::optional<View<T>> view_;
    std::optional<Contiguous<T>> values_;
};

bool overlap(const void* a, std::size_t a_bytes, const void* b, std::size_t b_bytes) {
    const std::less<const char*> before;
    const auto *first = static_cast<const char*>(a), *second = static_cast<const char*>(b);
    return a_bytes > 0 && b_bytes > 0 && before(first, second + b_bytes) && before(second, first + a_bytes);
}

class PyStream {
public:
    PyStream(const PyNetwork& network, py::object params, Index batch, const std::string& weight_format) {
        network.by_dtype([&]<class T>() {
            const View<T> values = parameter_view<T>(network, params);
            const T* const from = parameters(network, values);
            StreamOptions<T> options;
            options.batch = batch;
            options.storage = storage_named(weight_format);
            const auto held = [&] { return "packed weights and states of batch_size=" + std::to_string(batch); };
            const auto make = [&] { return std::make_unique<Stream<T>>(network.network, from, options); };
            stream_ = naming(held, [&] { return without_gil(make); });
        });
    }

    PyStream(const PyStream& other) {
        const auto copy = [&]<class S>(const S& from) { stream_ = std::make_unique<typename S::element_type>(*from); };
        other.call_.read([&] { std::visit(copy, other.stream_); });
    }

    py::object step(py::object x, py::object out) {
        return std::visit([&](auto& stream) { return advance(*stream, x, out, false); }, stream_);
    }

    py::object run(py::object x, py::object out) {
        return std::visit([&](auto& stream) { return advance(*stream, x, out, true); }, stream_);
    }

    py::tuple state() const {
        return std::visit([&](const auto& stream) { return copy_state(*stream); }, stream_);
    }

    void set_state(py::object value) {
        std::visit([&](auto& stream) { assign_state(*stream, value); }, stream_);
    }

    void reset() {
        call_.change([&] { std::visit([](auto& stream) { stream->reset(); }, stream_); });
    }

private:
    template <class T>
    py::object advance(Stream<T>& stream, const py::object& x, const py::object& out, bool time) {
        const Index width = stream.network().input(0), hidden = stream.network().output();
        const StreamInput<T> in(stream, x, time);
        const Index rows = in.layout.steps * stream.batch();
        py::object result = out;
        T* y = nullptr;
        if (out.is_none()) {
            std::vector<Index> shape;
            for (const Dimension& d : in.layout.shape({"H", hidden})) shape.push_back(d.size);
            auto array = new_array<T>(shape);
            y = array.mutable_data();
            result = std::move(array);
        } else {
            y = elements<T>(out, in.layout, hidden);
            if (!y || !py::reinterpret_borrow<py::array>(out).writeable())
                y = writeable<T>(out, "out", in.layout.shape({"H", hidden}));
            const auto bytes = [&](Index columns) { return static_cast<std::size_t>(rows * columns) * sizeof(T); };
            const auto id_bytes = static_cast<std::size_t>(rows) * sizeof(std::int64_t);
            if (in.ids ? overlap(y, bytes(hidden), in.ids, id_bytes) : overlap(y, bytes(hidden), in.x, bytes(width)))
                throw py::value_error("out: expected memory of its own, got some that x stands in");
        }
        const auto some = [&](Index first, Index steps) {
            const Index before = first * stream.batch();
            if (in.ids)
                stream.advance_ids(in.ids + before, steps, y + before * hidden);
            else
                stream.advance(in.x + before * width, steps, y + before * hidden);
        };
        call_.change([&] {
            if (!time) return some(0, 1);
            run_parallel(1, [&](int thread, Team& team) {
                for (Index first = 0; first < in.layout.steps && !team.stopped();) {
                    const Index steps = std::min(stream.most_steps(), in.layout.steps - first);
                    some(first, steps);
                    first += steps;
                    team.poll(thread);
                }
            });
        });
        return result;
    }

    template <class T>
    py::tuple copy_state(const Stream<T>& stream) const {
        NewStates<T> copies(stream.network(), stream.batch());
        call_.read([&] {
            for (std::size_t i = 0; i < copies.pointers.size(); ++i)
                std::copy_n(stream.state(static_cast<Index>(i)), stream.state_size(static_cast<Index>(i)),
                            copies.pointers[i]);
        });
        return py::tuple(copies.arrays);
    }

    template <class T>
    void assign_state(Stream<T>& stream, py::object value) {
        const States<T> given(stream.network(), stream.batch(), value, "state");
        call_.change([&] {
            for (std::size_t i = 0; i < given.pointers().size(); ++i)
                std::copy_n(given.pointers()[i], stream.state_size(static_cast<Index>(i)),
                            stream.state(static_cast<Index>(i)));
            if (given.pointers().empty()) stream.reset();
        });
    }

    std::variant<std::unique_ptr<Stream<float>>, std::unique_ptr<Stream<double>>> stream_;
    OneCall call_{"stream"};
};

}  // namespace

void register_stream(py::module_& module) {
    py::class_<PyStream>(module, "Stream")
        .def(py::init<const PyNetwork&, py::object, Index, const std::string&>(), py::arg("network"), py::arg("params"),
             py::arg("batch_size"), py::arg("weight_format") = "full")
        .def("step", &PyStream::step, py::arg("x"), py::arg("out") = py::none())
        .def("run", &PyStream::run, py::arg("x"), py::arg("out") = py::none())
        .def_property("state", &PyStream::state, &PyStream::set_state)
        .def("reset", &PyStream::reset)
        .def("copy", copied<PyStream>)
        .def("__deepcopy__", deep_copied<PyStream>, py::arg("memo"));
}

}  // namespace rnncore::bindings
