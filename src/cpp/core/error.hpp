// Errors of the layers below the binding. The binding turns them into Python's: Invalid -> ValueError,
// OutOfMemory -> MemoryError, Interrupted -> the exception the interpreter has already set.
#pragma once

#include <stdexcept>
#include <string>

namespace rnncore {

struct Invalid : std::invalid_argument {
    using std::invalid_argument::invalid_argument;
};

struct OutOfMemory : std::runtime_error {
    using std::runtime_error::runtime_error;
};

struct Interrupted : std::runtime_error {
    Interrupted() : std::runtime_error("interrupted") {}
};

}  // namespace rnncore
