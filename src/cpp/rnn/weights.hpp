// The weights of one direction of one layer, packed for the products of a pass.
#pragma once

#include <algorithm>
#include <array>

#include "core/memory.hpp"
#include "rnn/kernel_choice.hpp"
#include "rnn/matrix.hpp"
#include "rnn/network.hpp"

namespace rnncore {

// How the columns of the forward matrices, G*H gates of units, are packed: in one piece, or gate by gate, so that some
// units of every gate can be multiplied by themselves.
enum class GateColumns { together, apart };

// Columns [first, first + count) of a product, `packed` elements into the packed matrix.
struct ColumnPart {
    Index packed, first, count;
};

// Forward: every product is rows [*, k] times W^T.
template <class T>
struct ForwardWeights {
    const Kernels<T>* whole;         // that `input` is packed for,
    const Kernels<T>* step;          // and the other matrices,
    const StorageKernels<T>* steps;  // unless there are these: they are packed for them
    const T* input;                  // W_ih^T [I, G*H]; null where it is not packed
    // by Cell::products: the product's part of W_hh^T, [R, its gates of H]
    std::array<const T*, kMostRecurrentProducts> recurrent;
    const T* bias;        // [G*H]  what the sums start from,
    const T* bias_extra;  // [H]    and a product whose result is `extra`
    GateColumns gates;    // of input and recurrent
};

// Backward: every product is rows [*, k] times W.
template <class T>
struct BackwardWeights {
    const Kernels<T>* step;                                  // that `recurrent` is packed for
    const T* input;                                          // W_ih [G*H, I]; null where no gradient of x is wanted
    std::array<const T*, kMostRecurrentProducts> recurrent;  // by Cell::products: [its gates of H, R]
};

// What the sums start from: bias [G*H], and bias_extra [H] for a product whose result is `extra`; zero without one.
template <class T>
void fill_biases(const Network& network, const T* params, const ParameterOffsets& at, T* bias, T* bias_extra);

// Some units of a matrix [k, H].
template <class T>
ColumnPart unit_columns(const Kernels<T>& kernels, Index k, Range units) {
    return {units.first * packed_depth(kernels, k), units.first, units.last - units.first};
}

// Calls run(part) for the columns of some units in a matrix [k, columns] of gates of h units: one part for each gate.
// Columns that are packed together are one part, and the units are all.
template <class T, class Run>
void for_gate_columns(GateColumns gates, const Kernels<T>& kernels, Index k, Index columns, Index h, Range units,
                      const Run& run) {
    if (gates == GateColumns::together) return run(ColumnPart{0, 0, columns});
    for (Index first = 0; first < columns; first += h) {
        ColumnPart part = unit_columns(kernels, k, units);
        part.packed += first / h * packed_size(kernels, k, h);
        part.first += first;
        run(part);
    }
}

// Columns of a matrix [k, *], a panel at least, that stay in the L2 cache from their packing to the end of their use.
template <class T>
Index piece_columns(const Kernels<T>& kernels, Index k) {
    constexpr Index kPieceBytes = Index{256} << 10;
    const Index most = kPieceBytes / static_cast<Index>(sizeof(T)) / std::max<Index>(packed_depth(kernels, k), 1);
    return std::max<Index>(most / kernels.tile_columns, 1) * kernels.tile_columns;
}

// Takes memory for, and fills, the packed weights: made before Arena::take, filled by all threads of a region in
// shares, read after a barrier.
template <class T>
class PackedForward {
public:
    PackedForward(Arena& arena, const PassKernels<T>& kernels, const Network& network, Index layer, bool packs_input,
                  GateColumns gates);
    ForwardWeights<T> in(const Arena& arena) const;
    void fill(const Arena& arena, const T* params, Index direction, const Worker& worker) const;

private:
    PassKernels<T> kernels_;
    const Network* network_;
    Index layer_;
    bool packs_input_;
    GateColumns gates_;
    Arena::Slot<T> input_, bias_, bias_extra_;
    std::array<Arena::Slot<T>, kMostRecurrentProducts> recurrent_;
};

template <class T>
class PackedBackward {
public:
    PackedBackward(Arena& arena, const PassKernels<T>& kernels, const Network& network, Index layer, bool wants_dx);
    BackwardWeights<T> in(const Arena& arena) const;
    void fill(const Arena& arena, const T* params, Index direction, const Worker& worker) const;

private:
    PassKernels<T> kernels_;
    const Network* network_;
    Index layer_;
    bool wants_dx_;
    Arena::Slot<T> input_;
    std::array<Arena::Slot<T>, kMostRecurrentProducts> recurrent_;
};

}  // namespace rnncore
