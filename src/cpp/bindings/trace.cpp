// What a cache holds of gates and states, as arrays.
#include "rnn/trace.hpp"

#include "bindings/arrays.hpp"
#include "bindings/interpreter.hpp"
#include "bindings/network.hpp"

namespace rnncore::bindings {
namespace {

template <class T>
py::list trace_of(const Tape<T>& tape) {
    if (tape.checkpoints)
        throw py::value_error(
            "cache: expected one that holds every step, got one of a pass with a memory_limit, which holds the states "
            "at the beginnings of segments only");
    const Sequence& sequence = tape.sequence;
    const std::vector<Index> shape = {sequence.steps(), sequence.batch(), tape.network.units()};
    py::list rows;
    for (Index layer = 0; layer < tape.network.layers(); ++layer) {
        for (Index direction = 0; direction < tape.network.directions(); ++direction) {
            py::dict arrays;
            for (const TracedArray<T>& array : traced_arrays(tape, layer, direction)) {
                py::array_t<T> copy = new_array<T>(shape);
                T* const to = copy.mutable_data();
                without_gil([&] { unpack_traced(tape, array, to); });
                arrays[array.name] = std::move(copy);
            }
            rows.append(std::move(arrays));
        }
    }
    return rows;
}

}  // namespace

py::list trace(const PyCache& cache) {
    const auto what = [] { return std::string("the gates and states of every step"); };
    return naming(what, [&] { return std::visit([](const auto& tape) { return trace_of(*tape); }, cache.tape); });
}

}  // namespace rnncore::bindings
