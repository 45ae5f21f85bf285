#include "rnn/schedule.hpp"

#include <algorithm>

namespace rnncore {

namespace {

// Fewer rows than this read all weights for little work: the time of a step hardly shrinks.
constexpr Index kFewestRows = 4;

// Whether there are more threads than tasks of rows.
bool lacks_rows(const Sequence& sequence, int threads) {
    return threads > 1 && sequence.batch() < kFewestRows * threads;
}

}  // namespace

Index rows_worth(const Sequence& sequence) {
    const Index longest = sequence.batch() > 0 ? sequence.length(0) : 0;
    return std::max(sequence.rows(), kFewestRows * longest);
}

// At first and at last some layers have nothing to do, so that there should be many chunks.
Index staggered_steps(const Sequence& sequence) {
    constexpr Index kFewest = 8, kChunks = 32;
    return std::min(chunk_steps(sequence.steps(), sequence.batch()), std::max(sequence.steps() / kChunks, kFewest));
}

bool divides_units(const Network& network, const Sequence& sequence, int threads) {
    if (network.directions() > 1 || !lacks_rows(sequence, threads)) return false;
    // Measured: reading a weight takes as long as some four rows' products with it; what a thread spares by leaving
    // part of the weights to others must pay for the wait at the end of the step.
    constexpr double kSecondsPerWeight = 4e-11, kSecondsPerWait = 5e-7;
    const double step = kSecondsPerWeight * static_cast<double>(network.gate_columns() * network.recurrent());
    return step * (threads - 1) / threads > 2 * kSecondsPerWait;
}

bool divides_layers(const Network& network, const Sequence& sequence, Index width, int threads) {
    if (network.directions() > 1 || network.layers() == 1 || !lacks_rows(sequence, threads)) return false;
    // a layer with much wider inputs than the others would take most of the time
    const bool alike = width <= 2 * network.recurrent();
    if (!alike || chunk_count(sequence.steps(), staggered_steps(sequence)) < 2 * network.layers()) return false;
    // Measured: better than units where every thread has as many layers, of so few recurrent weights that they stay in
    // the L2 cache.
    constexpr Index kNearWeights = Index{160} << 10;
    const bool near = network.gate_columns() * network.recurrent() <= kNearWeights;
    return (near && network.layers() % threads == 0) || !divides_units(network, sequence, threads);
}

std::vector<RowTask> make_tasks(const Sequence& sequence, const std::vector<Chunk>& by_direction, int threads) {
    const auto directions = static_cast<Index>(by_direction.size());
    const Index wanted = std::max<Index>(threads % directions == 0 ? threads / directions : threads, 1);
    std::vector<RowTask> tasks;
    for (Index direction = 0; direction < directions; ++direction) {
        const Chunk chunk = by_direction[static_cast<std::size_t>(direction)];
        const Index active = chunk.lo < chunk.hi ? sequence.active(chunk.lo) : 0;
        const Index steps = sequence.first(chunk.hi) - sequence.first(chunk.lo);
        const Index parts = std::clamp<Index>(active / kFewestRows, 1, wanted);
        Index begin = 0, part = 1, passed = 0;
        for (Index b = 0; b < active && part < parts; ++b) {
            passed += std::min(sequence.length(b), chunk.hi) - chunk.lo;
            if (passed * parts < steps * part) continue;
            tasks.push_back({direction, begin, b + 1});
            begin = b + 1;
            ++part;
        }
        tasks.push_back({direction, begin, sequence.batch()});
    }
    return tasks;
}

}  // namespace rnncore
