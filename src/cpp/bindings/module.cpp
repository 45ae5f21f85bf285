// The extension module: it only registers.
#include <pybind11/numpy.h>

#include "bindings/interpreter.hpp"
#include "bindings/register.hpp"

PYBIND11_MODULE(_core, module, pybind11::mod_gil_not_used()) {
    using namespace rnncore::bindings;
    module.doc() = "Compiled kernel of rnncore; see _core.pyi.";
    // pybind11 looks NumPy up at the first use, releasing the lock in its own way, see ReleasedLock: that is to be now.
    pybind11::dtype::of<float>();
    register_exceptions();
    watch_signals();
    register_processor(module);
    register_network(module);
    register_stream(module);
    register_sampler(module);
    register_layers(module);
    register_losses(module);
    register_optimisers(module);
    register_kernels(module);
}
