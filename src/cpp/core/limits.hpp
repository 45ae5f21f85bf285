// The limits of this process: the memory it may still take, and its share of the processors.
#pragma once

#include <cstddef>
#include <string>

namespace rnncore {

// The folder where the system states its limits; tests have folders of their own.
struct SystemFolders {
    std::string processes = "/proc";
    std::string control_groups = "/sys/fs/cgroup";
};

// Bytes: of the machine, of every control group around the process, and of its address space.
std::size_t available_memory(const SystemFolders& system = {});

// Processors' worth of time that every control group around the process grants; infinite where none limits it.
double processor_quota(const SystemFolders& system = {});

}  // namespace rnncore
