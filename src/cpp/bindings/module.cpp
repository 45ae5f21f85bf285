// The extension module: it only registers.
#include <pybind11/numpy.h>

#include "bindings/interpreter.hpp"
#include "bindings/register.hpp"

PYBIND11_MODULE(core_of_main_interpreter, module, pybind11::mod_gil_not_used()) {
    using namespace rnncore::bindings;
    module.doc() = "Compiled kernel of rnncore; see _core.pyi.";
    // pybind11 looks NumPy up at the first use, releasing the lock in its own way, see ReleasedLock, and behind a guard
    // that a fork may leave taken for ever in the child. So the first use is here.
    pybind11::dtype::of<float>();
    register_exceptions();
    watch_signals();
    register_processor(module);
    register_network(module);
    register_stream(module);
    register_sampler(module);
    register_decode(module);
    register_layers(module);
    register_attention(module);
    register_attention_rnn(module);
    register_losses(module);
    register_ctc(module);
    register_loss_head(module);
    register_optimisers(module);
    register_ctc_search(module);
    register_kernels(module);
}

// What Python calls. pybind11 would take the lock of the main interpreter, and wait for ever in another.
extern "C" PYBIND11_EXPORT PyObject* PyInit__core() {
    if (PyInterpreterState_Get() != PyInterpreterState_Main()) {
        PyErr_SetString(PyExc_ImportError, "rnncore works in Python's main interpreter only, and this is another one");
        return nullptr;
    }
    return PyInit_core_of_main_interpreter();
}
