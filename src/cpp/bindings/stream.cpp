// Stream: a network that takes one step at a time.
#include "rnn/stream.hpp"

#include <algorithm>
#include <memory>
#include <mutex>
#include <variant>

#include "bindings/arrays.hpp"
#include "bindings/interpreter.hpp"
#include "bindings/network.hpp"
#include "bindings/register.hpp"

namespace rnncore::bindings {
namespace {

// Several Python threads may hold one stream: their calls follow each other.
class PyStream {
public:
    PyStream(const PyNetwork& network, py::object params, Index batch) {
        network.by_dtype([&]<class T>() {
            const View<T> values = parameter_view<T>(network, params);
            const T* const from = parameters(network, values);
            stream_ = without_gil([&] { return std::make_unique<Stream<T>>(network.network, from, batch); });
        });
    }

    py::object step(py::object x) {
        return std::visit([&](auto& stream) { return step_with(*stream, x); }, stream_);
    }

    py::tuple state() {
        return std::visit([&](auto& stream) { return copy_state(*stream); }, stream_);
    }

    void set_state(py::object value) {
        std::visit([&](auto& stream) { assign_state(*stream, value); }, stream_);
    }

    void reset() {
        alone([&] { std::visit([](auto& stream) { stream->reset(); }, stream_); });
    }

private:
    template <class Work>
    void alone(const Work& work) {
        without_gil([&] {
            const std::lock_guard lock(mutex_);
            work();
        });
    }

    template <class T>
    py::object step_with(Stream<T>& stream, py::object x) {
        const Network& network = stream.network();
        const Index size = stream.batch() * network.hidden();
        auto y = new_array<T>({stream.batch(), network.hidden()});
        T* const to = y.mutable_data();
        if (holds_integers(x)) {
            const Ids given = ids(x, "x", {{"B", stream.batch()}});
            given.require_below("x", {"I", network.input(0)});
            alone([&] { std::copy_n(stream.step_ids(given.values.data()), size, to); });
        } else {
            const View<T> given = view<T>(x, "x", {{"B", stream.batch()}, {"I", network.input(0)}});
            alone([&] { std::copy_n(stream.step(Contiguous<T>(given).data()), size, to); });
        }
        return y;
    }

    template <class T>
    py::tuple copy_state(Stream<T>& stream) {
        NewStates<T> copies(stream.network(), stream.batch());
        const Index size = stream.network().layers() * stream.batch() * stream.network().hidden();
        alone([&] {
            for (std::size_t i = 0; i < copies.pointers.size(); ++i)
                std::copy_n(stream.state(static_cast<Index>(i)), size, copies.pointers[i]);
        });
        return py::tuple(copies.arrays);
    }

    template <class T>
    void assign_state(Stream<T>& stream, py::object value) {
        const States<T> given(stream.network(), stream.batch(), value, "state");
        const Index size = stream.network().layers() * stream.batch() * stream.network().hidden();
        alone([&] {
            for (std::size_t i = 0; i < given.pointers().size(); ++i)
                std::copy_n(given.pointers()[i], size, stream.state(static_cast<Index>(i)));
            if (given.pointers().empty()) stream.reset();
        });
    }

    std::variant<std::unique_ptr<Stream<float>>, std::unique_ptr<Stream<double>>> stream_;
    std::mutex mutex_;
};

}  // namespace

void register_stream(py::module_& module) {
    py::class_<PyStream>(module, "Stream")
        .def(py::init<const PyNetwork&, py::object, Index>(), py::arg("network"), py::arg("params"),
             py::arg("batch_size"))
        .def("step", &PyStream::step, py::arg("x"))
        .def_property("state", &PyStream::state, &PyStream::set_state)
        .def("reset", &PyStream::reset);
}

}  // namespace rnncore::bindings
