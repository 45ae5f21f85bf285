#include "bindings/interpreter.hpp"

#include <unistd.h>

#include <exception>
#include <utility>

#include "core/error.hpp"
#include "core/threads.hpp"

namespace rnncore::bindings {
namespace {

thread_local PyThreadState* released = nullptr;  // this thread's, while it goes without the lock

void take_lock(PyThreadState* state) {
    try {
        PyEval_RestoreThread(state);
    } catch (...) {  // the unwinding of pthread_exit: going on with it, or ending it here, would end the process
        for (;;) pause();
    }
}

// Asked by the thread that made the call and released the lock. An exception of the signal handler stays pending in
// that thread's state until the call has unwound. Python runs handlers in its main thread only; in others this is
// false.
bool signal_raised() {
    take_lock(std::exchange(released, nullptr));
    const bool raised = PyErr_CheckSignals() != 0;  // the handler may call what releases the lock itself
    released = PyEval_SaveThread();
    return raised;
}

void translate(std::exception_ptr pending) {
    try {
        std::rethrow_exception(std::move(pending));
    } catch (const Invalid& error) {
        PyErr_SetString(PyExc_ValueError, error.what());
    } catch (const OutOfMemory& error) {
        PyErr_SetString(PyExc_MemoryError, error.what());
    } catch (const std::bad_alloc&) {
        PyErr_SetString(PyExc_MemoryError, "the system refused memory");
    } catch (const std::length_error&) {
        PyErr_SetString(PyExc_MemoryError, "sizes overflow the address space");
    } catch (const Interrupted&) {
        if (!PyErr_Occurred()) PyErr_SetNone(PyExc_KeyboardInterrupt);
    }
}

}  // namespace

ReleasedLock::ReleasedLock() { released = PyEval_SaveThread(); }
ReleasedLock::~ReleasedLock() { take_lock(std::exchange(released, nullptr)); }

void register_exceptions() { py::register_local_exception_translator(translate); }

void watch_signals() { interrupt_requested.store(signal_raised); }

}  // namespace rnncore::bindings
