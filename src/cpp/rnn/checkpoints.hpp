// Back-propagation in less memory than all steps need: the pass forward keeps the states at the beginnings of segments
// of time, and the pass backward runs one segment after the other forward again, from the last to the first (Chen et
// al. 2016, arXiv 1604.06174). With sqrt(T) segments that is the memory of some 2 sqrt(T) steps for a third more work.
// The segments are whole chunks of both passes, so that every sum is made as without them: the bits of the results are
// the same.
#pragma once

#include "rnn/backward.hpp"
#include "rnn/tape.hpp"

namespace rnncore {

// Steps of a segment such that one segment's tape and all checkpoints take at most `limit` bytes: the fewest segments
// that do. All steps, where their tape fits. Invalid where no segment is short enough, or where there are two
// directions.
template <class T>
Index segment_steps(const Network& network, const Sequence& sequence, bool drops, std::size_t limit);

template <class T>
class Checkpoints {
public:
    // `tape` describes the pass, but has no layers; `x` as PassInput's.
    Checkpoints(const Tape<T>& tape, const T* x, Index steps);

    // `y` [T,B,H] in the caller's order; null: not wanted. The rest as run_forward.
    void run_forward(const T* params, const std::vector<const T*>& state, T* y, const std::vector<T*>& final_state);
    void run_backward(const T* params, const BackwardInput<T>& in, const BackwardOutput<T>& out) const;

    std::size_t bytes() const { return states_.size(); }

private:
    struct Segment {
        Index lo, hi;
    };
    Segment segment(Index i) const;
    Index count() const { return (tape_.sequence.steps() + steps_ - 1) / steps_; }
    std::vector<const T*> state_before(Index i) const;  // empty: zero
    std::unique_ptr<Tape<T>> piece(Index i, bool keeps, T* y) const;

    const Tape<T>& tape_;
    const T* x_;
    Index steps_;
    bool has_initial_ = false;
    Arena states_;
    Arena::Slot<T> slot_;  // [segments, states, L, B, H], each before its segment
};

}  // namespace rnncore
