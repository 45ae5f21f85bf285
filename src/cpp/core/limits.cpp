#include "core/limits.hpp"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <vector>

namespace rnncore {
namespace {

constexpr std::size_t kUnlimited = std::numeric_limits<std::size_t>::max();

std::size_t minus(std::size_t a, std::size_t b) { return a - std::min(a, b); }

// The number that a file begins with.
std::size_t read_number(const std::string& path, std::size_t otherwise) {
    std::ifstream file(path);
    unsigned long long value = 0;
    return file >> value ? static_cast<std::size_t>(value) : otherwise;
}

// The number behind `name` at the beginning of a line.
std::size_t read_number(const std::string& path, const std::string& name, std::size_t otherwise) {
    std::ifstream file(path);
    const std::string start = name + " ";
    for (std::string line; std::getline(file, line);) {
        if (line.compare(0, start.size(), start) == 0)
            return static_cast<std::size_t>(std::strtoull(line.c_str() + start.size(), nullptr, 10));
    }
    return otherwise;
}

std::size_t page_bytes() {
    const long bytes = sysconf(_SC_PAGESIZE);
    return bytes > 0 ? static_cast<std::size_t>(bytes) : 4096;
}

std::size_t machine_memory(const SystemFolders& system) {
    const std::string file = system.processes + "/meminfo";
    const std::size_t kilobytes = read_number(file, "MemAvailable:", kUnlimited);
    if (kilobytes != kUnlimited) return (kilobytes + read_number(file, "SwapFree:", 0)) * 1024;
    // not Linux: the installed memory is the best known limit
    const long pages = sysconf(_SC_PHYS_PAGES);
    return pages > 0 ? static_cast<std::size_t>(pages) * page_bytes() : kUnlimited;
}

struct ControlGroup {
    std::string folder;
    bool unified;  // of version 2, otherwise of version 1
};

// The groups of a controller that hold this process, each with those around it. In a container the path may be the
// host's and not exist here: the root is then the group.
std::vector<ControlGroup> control_groups(const SystemFolders& system, const std::string& controller) {
    std::vector<ControlGroup> groups;
    std::ifstream file(system.processes + "/self/cgroup");
    for (std::string line; std::getline(file, line);) {  // 4:cpu,cpuacct:/a/b of version 1, 0::/a/b of version 2
        const std::size_t first = line.find(':'), second = line.find(':', first + 1);
        if (second == std::string::npos) continue;
        const std::string controllers = line.substr(first + 1, second - first - 1);
        const bool unified = controllers.empty();
        if (!unified && ("," + controllers + ",").find("," + controller + ",") == std::string::npos) continue;
        const std::string root = system.control_groups + (unified ? "" : "/" + controller);
        std::string path = line.substr(second + 1);
        for (std::size_t end = path.size(); end != std::string::npos; end = path.rfind('/')) {
            path.resize(end);
            groups.push_back({root + path, unified});
        }
    }
    return groups;
}

// What a group uses includes the files it has read: the kernel drops those first.
std::size_t group_memory(const ControlGroup& group) {
    const std::string start = group.folder + "/memory.";
    const std::size_t limit = read_number(start + (group.unified ? "max" : "limit_in_bytes"), kUnlimited);
    const std::size_t used = read_number(start + (group.unified ? "current" : "usage_in_bytes"), kUnlimited);
    if (limit == kUnlimited || used == kUnlimited) return kUnlimited;
    const char* const cached = group.unified ? "inactive_file" : "total_inactive_file";
    return minus(limit, minus(used, read_number(start + "stat", cached, 0)));
}

std::size_t address_space(const SystemFolders& system) {
    rlimit limit{};
    if (getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return kUnlimited;
    return minus(static_cast<std::size_t>(limit.rlim_cur),
                 read_number(system.processes + "/self/statm", 0) * page_bytes());
}

}  // namespace

std::size_t available_memory(const SystemFolders& system) {
    std::size_t available = std::min(machine_memory(system), address_space(system));
    for (const ControlGroup& group : control_groups(system, "memory"))
        available = std::min(available, group_memory(group));
    return available;
}

double processor_quota(const SystemFolders& system) {
    double processors = std::numeric_limits<double>::infinity();
    for (const ControlGroup& group : control_groups(system, "cpu")) {
        double quota = 0, period = 0;  // microseconds; without a limit, "max" of version 2 or -1 of version 1
        if (group.unified) {
            std::ifstream(group.folder + "/cpu.max") >> quota >> period;
        } else {
            std::ifstream(group.folder + "/cpu.cfs_quota_us") >> quota;
            std::ifstream(group.folder + "/cpu.cfs_period_us") >> period;
        }
        if (quota > 0 && period > 0) processors = std::min(processors, quota / period);
    }
    return processors;
}

}  // namespace rnncore
