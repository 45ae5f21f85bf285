// Work on the elements or rows of an array that need nothing of each other.
#pragma once

#include <algorithm>

#include "core/threads.hpp"
#include "kernels/table.hpp"

namespace rnncore {

// Elements between two looks at the user's interrupt; some ten microseconds.
inline constexpr Index kBlockElements = 16384;
// An element that comes from memory and goes back takes as long as this many operations of a product.
inline constexpr double kFlopsPerElement = 50;

// Calls work(first, last) for blocks of [0, n), whose borders do not depend on the number of threads.
template <class Work>
void for_blocks(Index n, Index block, double flops, const Work& work) {
    run_parallel(threads_for(flops), [&](int thread, Team& team) {
        const Range mine = share(n, thread, team.size(), block);
        for (Index first = mine.first; first < mine.last && !team.stopped(); first += block) {
            work(first, std::min<Index>(first + block, mine.last));
            team.poll(thread);
        }
    });
}

template <class Work>
void for_element_blocks(Index n, const Work& work) {
    for_blocks(n, kBlockElements, kFlopsPerElement * static_cast<double>(n), work);
}

// Blocks of whole rows.
template <class Work>
void for_row_blocks(Index rows, Index columns, const Work& work) {
    const Index block = std::clamp<Index>(kBlockElements / std::max<Index>(columns, 1), 1, kBlockElements);
    for_blocks(rows, block, kFlopsPerElement * static_cast<double>(rows) * static_cast<double>(columns), work);
}

}  // namespace rnncore
