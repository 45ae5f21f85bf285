// What a pass forward of a decoder with attention leaves, and works in. For its way back it keeps, of each real step: the
// gates (and `extra` or c) of its cells, [c; h] or q and c, the weights of the attention, and y. Not kept are products
// with x, scores, and, of an additive score, tanh(W_q q + W_k m): the way back makes it anew. Inference keeps no gates.
#pragma once

#include <memory>
#include <vector>

#include "core/memory.hpp"
#include "rnn/attention_rnn/layer.hpp"
#include "rnn/attention_rnn/memory.hpp"
#include "rnn/sequence.hpp"
#include "rnn/tape.hpp"

namespace rnncore {

// Rows of an array that may stand inside wider ones.
template <class T>
struct RowsOf {
    T* data = nullptr;
    Index stride = 0;

    T* row(Index r) const { return data ? data + r * stride : nullptr; }
};

inline constexpr int kMostCells = 2;                        // of a step
inline constexpr int kMostDecoderStates = kMostStates + 1;  // and a

template <class T>
struct CellTape {
    T* gates = nullptr;  // [N, G*H] at their row_pitch; null: not kept, or where the outputs are
    T* extra = nullptr;  // [N, H]; null: not kept, or the cell has none
    T* cell = nullptr;   // [N, H] c; null: the cell has none
};

template <class T>
struct AttentionRnnTape {
    AttentionRnnTape(const AttentionRnn& l, Sequence s) : layer(l), sequence(std::move(s)) {}

    const AttentionRnn layer;
    const Sequence sequence;
    std::vector<Index> reads;  // by sorted row: the sequence of the memory that it attends to
    std::shared_ptr<const AttendedMemory<T>> memory;
    bool keeps = false;
    Block input;  // a copy of the inputs, where the caller's own could not serve
    Arena arena;

    const T* x = nullptr;  // [N, I] packed rows
    CellTape<T> cells[kMostCells];
    RowsOf<T> hidden;       // [N, H] h or q: what attends
    RowsOf<T> context;      // [N, M] c; with input feeding h follows
    RowsOf<T> y;            // [N, H] a or s, perhaps with c behind it
    T* queries = nullptr;   // [N, A] what of `hidden` meets the keys; null: itself
    T* weights = nullptr;   // of the attention, see weights_of
    std::vector<Index> weights_first;             // by sorted row
    const T* initial[kMostDecoderStates] = {};    // [B,H] sorted; null: zero

    // [heads, S] of sorted row b at step t.
    T* weights_of(Index b, Index t) const {
        return weights + weights_first[static_cast<std::size_t>(b)] + t * weights_pitch(b);
    }
    Index weights_pitch(Index b) const {
        return layer.attention().heads() * memory->length(reads[static_cast<std::size_t>(b)]);
    }
};

// Lays a tape out and takes its memory; state: by state [B,H] in the caller's order, or null for zero.
template <class T>
void prepare_tape(AttentionRnnTape<T>& tape, const std::vector<const T*>& state);

}  // namespace rnncore
