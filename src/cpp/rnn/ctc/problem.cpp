#include "rnn/ctc/problem.hpp"

#include <algorithm>

#include "core/memory.hpp"

namespace rnncore {

Index CtcProblem::frames_needed(const std::int64_t* labels, Index count) {
    Index needed = count;
    for (Index i = 1; i < count; ++i) needed += labels[i] == labels[i - 1];
    return needed;
}

CtcPlaces::CtcPlaces(const CtcProblem& problem) {
    const auto batch = static_cast<std::size_t>(problem.batch);
    require_memory(checked_product(batch, 2 * sizeof(Index)));
    first_frame_.reserve(batch);
    first_label_.reserve(batch);
    Index frames = 0, labels = 0, steps = 0;
    for (Index b = 0; b < problem.batch; ++b) {
        first_frame_.push_back(frames);
        first_label_.push_back(labels);
        frames += problem.frames[b];
        labels += problem.counts[b];
        steps = std::max<Index>(steps, problem.frames[b]);
    }
    require_memory(checked_product(static_cast<std::size_t>(frames), sizeof(Index)));
    rows_.resize(static_cast<std::size_t>(frames));
    Index row = 0;
    for (Index t = 0; t < steps; ++t) {
        for (Index b = 0; b < problem.batch; ++b) {
            if (t < problem.frames[b])
                rows_[static_cast<std::size_t>(first_frame_[static_cast<std::size_t>(b)] + t)] = row++;
        }
    }
}

}  // namespace rnncore
