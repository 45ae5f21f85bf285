// Instruction sets, threads, limits of the system, how the extension was built.
#include <pybind11/stl.h>

#include <map>
#include <string>

#include "bindings/register.hpp"
#include "core/limits.hpp"
#include "core/threads.hpp"
#include "dispatch/dispatch.hpp"

namespace rnncore::bindings {
namespace {

namespace py = pybind11;

std::map<std::string, std::string> build_info() {
    std::string sets;
    for (const std::string& name : compiled_isas()) sets += (sets.empty() ? "" : ", ") + name;
#if defined(__clang__)
    const char* compiler = __VERSION__;  // "Clang 17.0.6 ..." names itself
#else
    const char* compiler = "g++ " __VERSION__;
#endif
    return {{"compiler", compiler}, {"openmp", has_openmp() ? "yes" : "no"}, {"kernel sets", sets}};
}

}  // namespace

void register_processor(py::module_& module) {
    module.def("isa", [] { return active_table().name; });
    module.def("available_isas", available_isas);
    module.def("select_isa", select_isa, py::arg("name"));
    module.def("get_num_threads", get_num_threads);
    module.def("set_num_threads", set_num_threads, py::arg("n"));
    const SystemFolders system;
    module.def(
        "available_memory",
        [](const std::string& processes, const std::string& control_groups) {
            return available_memory({processes, control_groups});
        },
        py::arg("processes") = system.processes, py::arg("control_groups") = system.control_groups);
    module.def(
        "processor_quota",
        [](const std::string& processes, const std::string& control_groups) {
            return processor_quota({processes, control_groups});
        },
        py::arg("processes") = system.processes, py::arg("control_groups") = system.control_groups);
    module.def("build_info", build_info);
}

}  // namespace rnncore::bindings
