// What a call owes the interpreter: its lock released while the kernels run, its exceptions raised, its signals seen.
#pragma once

#include <pybind11/pybind11.h>

#include <utility>

namespace rnncore::bindings {

namespace py = pybind11;

// Runs work() while other Python threads go on. It must touch no Python object.
template <class Work>
auto without_gil(Work&& work) {
    const py::gil_scoped_release release;
    return std::forward<Work>(work)();
}

// Invalid -> ValueError, OutOfMemory and std::bad_alloc -> MemoryError, Interrupted -> what the signal handler raised.
void register_exceptions();

// Long calls ask now and then whether a signal (Ctrl-C) has arrived.
void watch_signals();

}  // namespace rnncore::bindings
