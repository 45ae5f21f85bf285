// Chooses the kernel table for this processor, once; RNNCORE_ISA forces one.
#pragma once

#include <string>
#include <vector>

#include "kernels/table.hpp"

namespace rnncore {

// The active table. Invalid where RNNCORE_ISA names a set that is unknown or that this machine lacks.
const KernelTable& active_table();

template <class T>
const Kernels<T>& kernels(Compute compute = Compute::full, Height height = Height::any) {
    return kernels_of<T>(active_table(), compute, height);
}

// Sets that were compiled and that this processor runs, the fastest last. Without "reference".
std::vector<std::string> available_isas();

// Sets that the extension was compiled with, whether or not this processor runs them.
std::vector<std::string> compiled_isas();

// Makes `name` the active table ("reference" is the slow double-precision oracle); Invalid as above.
void select_isa(const std::string& name);

}  // namespace rnncore
