// The recurrent network as Python sees it: a configuration and an element type; its parameters and states.
#pragma once

#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "bindings/arrays.hpp"
#include "rnn/network.hpp"
#include "rnn/tape.hpp"

namespace rnncore::bindings {

struct PyNetwork {
    Network network;
    bool single;  // float32, otherwise float64

    // Calls work.template operator()<T>() for the network's element type.
    template <class Work>
    auto by_dtype(Work&& work) const {
        return single ? work.template operator()<float>() : work.template operator()<double>();
    }
};

template <class T>
using TapePointer = std::shared_ptr<Tape<T>>;

struct PyCache {
    std::variant<TapePointer<float>, TapePointer<double>> tape;
    py::object x;  // keeps the memory that the tape reads; None where that is a copy
    std::size_t nbytes;
};

// dy: an array, None for zero, or a PyLossHead, whose losses are then the last of the results.
py::tuple backward(const PyNetwork& self, py::object params, py::object grads, py::object dy, const PyCache& cache,
                   py::object dstate);

// A dict of arrays [T,B,H] for each layer and direction, see rnn/trace.hpp.
py::list trace(const PyCache& cache);

template <class T>
const T* parameters(const PyNetwork& self, const View<T>& params) {
    if (!params.contiguous())
        throw py::value_error(
            "params: expected a contiguous array of P=" + std::to_string(self.network.parameter_count()) + " values");
    return params.data();
}

template <class T>
const T* parameters(const PyNetwork& self, const View<T>&& params) = delete;

template <class T>
View<T> parameter_view(const PyNetwork& self, py::handle params) {
    return view<T>(params, "params", {{"P", self.network.parameter_count()}});
}

// Arrays [L*D, B, H] of a state, made contiguous; the copies live as long as this.
template <class T>
class States {
public:
    States(const Network& network, Index batch, py::object given, const char* name) {
        if (given.is_none()) return;
        const bool is_list = py::isinstance<py::tuple>(given) || py::isinstance<py::list>(given);
        const auto sequence = is_list ? py::tuple(given) : py::make_tuple(given);
        if (static_cast<Index>(sequence.size()) != network.states())
            throw py::value_error(std::string(name) + ": expected " +
                                  (network.states() == 2 ? "a pair (h, c)" : "one array (h)") + ", got " +
                                  std::to_string(sequence.size()) + " array" + (sequence.size() == 1 ? "" : "s"));
        for (std::size_t i = 0; i < sequence.size(); ++i) {
            const std::string part = std::string(name) + (network.states() == 2 ? (i == 0 ? " h" : " c") : "");
            views_.push_back(view<T>(sequence[i], part.c_str(),
                                     {{"L*D", network.layers() * network.directions()},
                                      {"B", batch},
                                      {"H", network.state(static_cast<Index>(i))}}));
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

// New arrays [L*D, B, H] that a pass fills, without the B where there is no batch.
template <class T>
struct NewStates {
    NewStates(const Network& network, Index batch, bool batched = true) {
        const Index rows = network.layers() * network.directions();
        for (Index i = 0; i < network.states(); ++i) {
            auto array =
                batched ? new_array<T>({rows, batch, network.state(i)}) : new_array<T>({rows, network.state(i)});
            pointers.push_back(array.mutable_data());
            arrays.append(std::move(array));
        }
    }
    py::list arrays;
    std::vector<T*> pointers;
};

}  // namespace rnncore::bindings
