// Which kernels multiply what, where a set has faster ones for tall matrices: the bits of a result depend on the
// choice, so it depends on nothing but sizes.
#pragma once

#include <algorithm>

#include "kernels/table.hpp"
#include "rnn/network.hpp"

namespace rnncore {

// Weights of more bytes come from beyond the L2 cache.
inline constexpr std::size_t kFarWeightBytes = std::size_t{2} << 20;

// For products with so many rows in all.
template <class T>
const Kernels<T>& kernels_for_rows(Compute compute, Index rows);

// For the products over all rows of a chunk, and for those of a step. `steps`: null, or what takes the steps of a chunk
// in one call instead.
template <class T>
struct PassKernels {
    const Kernels<T>& whole;
    const Kernels<T>& step;
    const StorageKernels<T>* steps;

    Index product_scratch_bytes() const { return std::max(whole.product_scratch_bytes, step.product_scratch_bytes); }
};

// For passes over a batch that has so many rows in all its steps.
template <class T>
PassKernels<T> pass_kernels(const Network& network, Index batch, Index rows);

}  // namespace rnncore
