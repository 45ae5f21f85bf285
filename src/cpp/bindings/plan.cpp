#include "bindings/plan.hpp"

#include <pybind11/stl.h>

#include "rnn/plan.hpp"

namespace rnncore::bindings {
namespace {

const char* name_of(Division division) {
    switch (division) {
        case Division::rows:
            return "rows";
        case Division::units:
            return "units";
        case Division::layers:
            break;
    }
    return "layers";
}

py::tuple bounds(const RowTask& rows) { return py::make_tuple(rows.direction, rows.begin, rows.end); }

template <class T>
py::dict forward_plan(const PyNetwork& self, const Sequence& sequence, const PlanCall& call) {
    const Network& network = self.network;
    const PassKernels<T> kernels = pass_kernels<T>(network, sequence.batch(), sequence.rows());
    const ForwardPlan plan = plan_forward(network, kernels, sequence, {call.ids, false, call.frozen});
    py::list tasks;
    for (const ForwardTask& task : plan.tasks) {
        py::dict entry;
        entry["rows"] = bounds(task.rows);
        entry["chunk_steps"] = task.chunk_steps;
        entry["chunks"] = task.chunks;
        tasks.append(entry);
    }
    py::dict result;
    result["threads"] = plan.threads;
    result["divides"] = name_of(plan.division);
    result["steps_in_one_call"] = plan.steps_in_one_call;
    result["tasks"] = tasks;
    result["piece_columns"] = plan.piece_columns;
    return result;
}

py::dict backward_plan(const PyNetwork& self, const Sequence& sequence, const PlanCall& call) {
    const BackwardPlan plan = plan_backward(self.network, sequence, call.ids, 0);
    py::list chunks;
    for (const std::vector<RowTask>& tasks : plan.tasks) {
        py::list rows;
        for (const RowTask& task : tasks) rows.append(bounds(task));
        chunks.append(rows);
    }
    py::dict result;
    result["threads"] = plan.threads;
    result["divides"] = name_of(plan.division);
    result["chunk_steps"] = plan.chunk_steps;
    result["chunks"] = plan.chunks;
    result["layers_together"] = plan.layers_together;
    result["repacks"] = plan.repacks;
    result["tasks"] = chunks;
    return result;
}

}  // namespace

py::dict plan(const PyNetwork& self, const Sequence& sequence, const PlanCall& call) {
    py::dict result;
    result["forward"] = self.by_dtype([&]<class T>() { return forward_plan<T>(self, sequence, call); });
    if (call.training) result["backward"] = backward_plan(self, sequence, call);
    return result;
}

}  // namespace rnncore::bindings
