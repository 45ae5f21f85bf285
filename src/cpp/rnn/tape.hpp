// What a pass forward leaves: everything that back-propagation through time reads. Inference uses the same structures
// with the parts it does not keep left out.
#pragma once

#include <memory>
#include <vector>

#include "core/memory.hpp"
#include "rnn/network.hpp"
#include "rnn/one_hot.hpp"
#include "rnn/sequence.hpp"

namespace rnncore {

// How far apart rows of so many columns stand that are read many at a time. At a multiple of 4 KB they would all fall
// into one set of an L1 cache, whose 8 or 12 lines the 12 rows of a tile exceed; a line more spreads them. Measured.
template <class T>
Index row_pitch(Index columns) {
    const Index bytes = columns * static_cast<Index>(sizeof(T));
    return bytes > 0 && bytes % 4096 == 0 ? columns + static_cast<Index>(kAlignment / sizeof(T)) : columns;
}

// What goes into a pass; arrays in the caller's order of rows.
template <class T>
struct PassInput {
    const T* x = nullptr;         // [N, I] packed rows; null where the inputs are one-hot
    std::vector<const T*> state;  // per state [L*D, B, H], contiguous; empty: zero
};

template <class T>
struct DirectionTape {
    T* gates = nullptr;  // [N, G*H] activations, at their row_pitch; null: not kept (or they are the outputs)
    T* extra = nullptr;  // [N, H] see CellForward; null: not kept (or the cell has none)
    T* cell = nullptr;   // [N, H] the second state; [B, H] the latest only, where nothing is kept
    const T* initial[kMostStates] = {};  // by state: [B, H], sorted; null: zero
};

template <class T>
struct LayerTape {
    const T* x = nullptr;  // [N, I]; null where one-hot
    T* y = nullptr;        // [N, D*H]
    T* dropped = nullptr;  // [N, D*H] y after dropout, the next layer's x; null: no dropout
    DirectionTape<T> directions[2];
};

template <class T>
class Checkpoints;

template <class T>
struct Tape {
    Tape(const Network& n, Sequence s) : network(n), sequence(std::move(s)) {}

    const Network network;
    const Sequence sequence;
    std::shared_ptr<const OneHot> one_hot;  // the inputs, where they are one-hot
    Block input;                            // a copy of the inputs, where the caller's own could not serve
    bool keeps = false;                     // whether backward may read it
    bool drops = false;                     // whether there is dropout between the layers
    std::uint64_t seed = 0;                 // of the dropout masks
    Index first_row = 0;                    // of a piece of a longer sequence: where it begins among the rows of all
    Index all_rows = sequence.rows();       // the rows of all its pieces: kernels are chosen by them
    Arena arena;
    std::vector<LayerTape<T>> layers;
    std::shared_ptr<Checkpoints<T>> checkpoints;  // instead of layers, where these would take too much memory
    T* y() const { return layers.back().y; }
};

// The seed of one layer's dropout mask.
inline std::uint64_t dropout_seed(std::uint64_t seed, Index layer) {
    return seed + static_cast<std::uint64_t>(layer) * 0x9E3779B97F4A7C15u;  // 2^64 / golden ratio: far apart
}

// Lays a tape out and takes its memory; `y` is where an inference writes its output (null: into the tape).
template <class T>
void prepare_tape(Tape<T>& tape, const PassInput<T>& input, T* y);

// Bytes of the tape of `steps` full steps that keeps what backward reads.
template <class T>
std::size_t tape_bytes(const Network& network, Index steps, Index batch, bool drops);

}  // namespace rnncore
