#include "rnn/trace.hpp"

#include <algorithm>

#include "rnn/blocks.hpp"

namespace rnncore {

template <class T>
std::vector<TracedArray<T>> traced_arrays(const Tape<T>& tape, Index layer, Index direction) {
    const Network& net = tape.network;
    const LayerTape<T>& kept = tape.layers[static_cast<std::size_t>(layer)];
    const DirectionTape<T>& of = kept.directions[direction];
    std::vector<TracedArray<T>> arrays;
    const T* gate = of.gates;
    for (Index g = 0; of.gates && g < net.cell().gates; ++g, gate += net.units())
        arrays.push_back({net.cell().gate_names[g], gate, row_pitch<T>(net.gate_columns())});
    if (of.cell) arrays.push_back({"cell", of.cell, net.cell_state()});
    arrays.push_back({"hidden", kept.y + direction * net.direction_output(), net.output()});
    return arrays;
}

template <class T>
void unpack_traced(const Tape<T>& tape, const TracedArray<T>& array, T* to) {
    const Sequence& sequence = tape.sequence;
    const Index hidden = tape.network.units(), step = sequence.batch() * hidden;
    for_row_blocks(sequence.steps(), step, [&](Index first, Index last) {
        std::fill(to + first * step, to + last * step, T(0));
        for (Index t = first; t < last; ++t) {
            for (Index b = 0; b < sequence.active(t); ++b)
                std::copy_n(array.rows + (sequence.first(t) + b) * array.pitch, hidden,
                            to + t * step + sequence.user_row(b) * hidden);
        }
    });
}

#define RNNCORE_INSTANTIATE(T)                                                           \
    template std::vector<TracedArray<T>> traced_arrays<T>(const Tape<T>&, Index, Index); \
    template void unpack_traced<T>(const Tape<T>&, const TracedArray<T>&, T*);
RNNCORE_INSTANTIATE(float)
RNNCORE_INSTANTIATE(double)
#undef RNNCORE_INSTANTIATE

}  // namespace rnncore
