// Sequences of frames with their labels, for connectionist temporal classification.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/table.hpp"

namespace rnncore {

// B sequences of `frames` and `counts` labels. Frames are packed rows [N,C]: those of all sequences at step 0 in the
// order of the sequences, then those of all that have a step 1, and so on.
struct CtcProblem {
    Index batch, symbols, blank;
    const std::int64_t* frames;  // [B], not below 0
    const std::int64_t* counts;  // [B], not below 0
    const std::int64_t* labels;  // [sum of counts], none of them the blank

    // Fewest frames of a path through so many labels: between two equal ones there has to be a blank.
    static Index frames_needed(const std::int64_t* labels, Index count);
};

// Where the frames and labels of each sequence stand.
class CtcPlaces {
public:
    explicit CtcPlaces(const CtcProblem& problem);

    const Index* rows(Index b) const { return rows_.data() + first_frame_[static_cast<std::size_t>(b)]; }  // [frames]
    Index first_label(Index b) const { return first_label_[static_cast<std::size_t>(b)]; }

private:
    std::vector<Index> rows_, first_frame_, first_label_;
};

}  // namespace rnncore
