#include "rnn/schedule.hpp"

namespace rnncore {

namespace {

// Fewer rows than this read all weights for little work: the time of a step hardly shrinks.
constexpr Index kFewestRows = 4;

}  // namespace

bool divides_units(const Network& network, const Sequence& sequence, int threads) {
    if (threads == 1 || network.directions() > 1 || sequence.batch() >= kFewestRows * threads) return false;
    // Measured: reading a weight takes as long as some four rows' products with it; what a thread spares by leaving part
    // of the weights to others must pay for the wait at the end of the step.
    constexpr double kSecondsPerWeight = 4e-11, kSecondsPerWait = 5e-7;
    const double step = kSecondsPerWeight * static_cast<double>(network.gate_columns() * network.hidden());
    return step * (threads - 1) / threads > 2 * kSecondsPerWait;
}

std::vector<RowTask> make_tasks(const Sequence& sequence, Index directions, int threads) {
    const Index wanted = threads % directions == 0 ? threads / directions : threads;
    const Index parts = std::clamp<Index>(sequence.batch() / kFewestRows, 1, std::max<Index>(wanted, 1));

    std::vector<Index> bounds{0};
    Index passed = 0;
    for (Index b = 0; b < sequence.batch(); ++b) {
        passed += sequence.length(b);
        const Index part = static_cast<Index>(bounds.size());
        if (part < parts && passed * parts >= sequence.rows() * part) bounds.push_back(b + 1);
    }
    bounds.push_back(sequence.batch());

    std::vector<RowTask> tasks;
    for (Index direction = 0; direction < directions; ++direction) {
        for (std::size_t i = 0; i + 1 < bounds.size(); ++i) tasks.push_back({direction, bounds[i], bounds[i + 1]});
    }
    return tasks;
}

}  // namespace rnncore
