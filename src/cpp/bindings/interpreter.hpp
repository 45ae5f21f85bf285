// The interpreter during a call: its lock is released while kernels run, errors become exceptions, signals are seen.
#pragma once

#include <pybind11/pybind11.h>

#include <memory>
#include <utility>

#include "core/error.hpp"

namespace rnncore::bindings {

namespace py = pybind11;

// The interpreter's lock, released while this lives. Once the interpreter is being finalized, a thread that comes back
// stays here until the process ends, as Python itself does from 3.14 on. Older ones end the thread with pthread_exit,
// whose unwinding no destructor lets through: std::terminate would end the process.
class ReleasedLock {
public:
    ReleasedLock();
    ~ReleasedLock();
    ReleasedLock(const ReleasedLock&) = delete;
    ReleasedLock& operator=(const ReleasedLock&) = delete;
};

// Runs work() while other Python threads go on. It must touch no Python object.
template <class Work>
auto without_gil(Work&& work) {
    const ReleasedLock released;
    return std::forward<Work>(work)();
}

// Runs work(); if memory runs out, prefixes the error with purpose(), which is called only then:
//     x of [T=1000000, B=64, I=128]: needs 80.00 GB of memory; 12.29 GB are available
template <class Purpose, class Work>
auto naming(const Purpose& purpose, Work&& work) {
    try {
        return std::forward<Work>(work)();
    } catch (const OutOfMemory& error) {
        throw OutOfMemory(purpose() + ": " + error.what());
    }
}

// __copy__ and __deepcopy__ of a class with a copy constructor.
template <class T>
std::unique_ptr<T> copied(const T& from) {
    return std::make_unique<T>(from);
}

template <class T>
std::unique_ptr<T> deep_copied(const T& from, const py::dict&) {
    return copied(from);
}

// Invalid -> ValueError, OutOfMemory and std::bad_alloc -> MemoryError, Interrupted -> what the signal handler raised.
void register_exceptions();

// Long calls ask now and then whether a signal (Ctrl-C) has arrived.
void watch_signals();

}  // namespace rnncore::bindings
