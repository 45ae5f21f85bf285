// The recurrent network as Python sees it: a configuration and an element type.
#pragma once

#include <string>

#include "rnn/network.hpp"

namespace rnncore::bindings {

struct PyNetwork {
    Network network;
    bool single;  // float32, otherwise float64

    const char* dtype() const { return single ? "float32" : "float64"; }

    // Calls work.template operator()<T>() for the network's element type.
    template <class Work>
    auto by_dtype(Work&& work) const {
        return single ? work.template operator()<float>() : work.template operator()<double>();
    }
};

}  // namespace rnncore::bindings
