// How a layer's work is cut: into tasks of rows that need nothing of each other, and into chunks of time.
#pragma once

#include <algorithm>

#include "rnn/sequence.hpp"

namespace rnncore {

// Steps [lo, hi) of time that a direction passes as its chunk-th piece of `steps` steps.
struct Chunk {
    Index lo, hi;
};

// One direction of a layer reads time upwards or downwards.
struct TimeOrder {
    Index steps;
    bool reverse;

    Index time(Index s) const { return reverse ? steps - 1 - s : s; }  // of the s-th step in this direction
    Index after(Index t, Index count) const { return reverse ? t - count : t + count; }
    Index previous(Index t) const { return after(t, -1); }  // outside [0, steps) for the first
    bool has(Index t) const { return t >= 0 && t < steps; }
};

// Sorted rows [begin, end) of one direction, through the steps of a chunk.
struct RowTask {
    Index direction;
    Index begin, end;

    Index rows() const { return end - begin; }
};

// The rows of a task that are active at time t: run(begin, end, from_history), first those whose previous state is the
// previous step's, then those that begin here, from the initial state.
template <class Run>
void for_segments(const Sequence& sequence, const TimeOrder& order, const RowTask& task, Index t, const Run& run) {
    const Index end = std::min(task.end, sequence.active(t));
    const Index previous = order.previous(t);
    const Index known =
        order.has(previous) ? std::clamp(sequence.active(previous), task.begin, std::max(end, task.begin)) : task.begin;
    const Index split = std::min(known, end);
    if (split > task.begin) run(task.begin, split, true);
    if (end > split) run(std::max(split, task.begin), end, false);
}

inline Chunk chunk_at(const TimeOrder& order, Index chunk, Index steps) {
    const Index s0 = chunk * steps, s1 = std::min(order.steps, s0 + steps);
    return order.reverse ? Chunk{order.steps - s1, order.steps - s0} : Chunk{s0, s1};
}
inline Index chunk_count(Index steps, Index chunk_steps) { return (steps + chunk_steps - 1) / chunk_steps; }

// Rows of one chunk: enough for the products over a chunk to run at full speed, few enough to stay in the cache.
inline constexpr Index kChunkRows = 512;
inline Index chunk_steps(Index steps, Index rows) {
    return std::clamp<Index>(kChunkRows / std::max<Index>(rows, 1), 1, std::max<Index>(steps, 1));
}

}  // namespace rnncore
