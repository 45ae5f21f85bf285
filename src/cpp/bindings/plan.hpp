// What the passes of a network will do, as Python sees it.
#pragma once

#include "bindings/network.hpp"

namespace rnncore::bindings {

struct PlanCall {
    bool ids = false;      // one-hot inputs
    bool training = true;  // also the pass backward, for which the pass forward keeps its tape
    bool frozen = false;   // weights that are packed already
};

// {"forward": {...}, "backward": {...}}, see _core.pyi
py::dict plan(const PyNetwork& self, const Sequence& sequence, const PlanCall& call);

}  // namespace rnncore::bindings
