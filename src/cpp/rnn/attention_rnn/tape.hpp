// What a pass forward of a decoder with attention leaves, and works in. For the way back it keeps, of each real step:
// the gates (and `extra` or c) of its cells, [c; h] or q and c, the weights of the attention, y, and W_q q where there
// is W_q. It keeps no scores, and of an additive score no tanh(W_q q + key), which the way back makes anew. Inference
// keeps no gates.
#pragma once

#include <vector>

#include "core/memory.hpp"
#include "rnn/attention/attention.hpp"
#include "rnn/attention_rnn/layer.hpp"
#include "rnn/matrix.hpp"
#include "rnn/schedule.hpp"
#include "rnn/tape.hpp"

namespace rnncore {

inline constexpr int kMostCells = 2;                        // of a step
inline constexpr int kMostDecoderStates = kMostStates + 1;  // and a

// The rows of one step of some sequences.
struct StepRows {
    Index t;
    Index begin, rows;  // sorted sequences; none where all have ended
    Index first;        // among the packed rows
    Index before;       // the same sequences at the step before; -1: there is none
};
StepRows step_rows(const Sequence& sequence, const RowTask& task, Index t);

template <class T>
struct CellTape {
    T* gates = nullptr;  // [N, G*H] at their row_pitch; null: not kept, or where the outputs are
    T* extra = nullptr;  // [N, H]; null: not kept, or the cell has none
    T* cell = nullptr;   // [N, H] c; null: the cell has none
};

template <class T>
struct AttentionRnnTape {
    AttentionRnnTape(const AttentionRnn& l, Sequence s, const AttentionMemory<T>& m)
        : layer(l), sequence(std::move(s)), memory(m) {}

    const AttentionRnn layer;
    const Sequence sequence;
    const AttentionMemory<T> memory;
    std::vector<Index> reads;  // by sorted row: the sequence of the memory that it attends to
    bool keeps = false;        // whether backward may read it
    Arena arena;

    const T* x = nullptr;  // [N, I] packed rows
    CellTape<T> cells[kMostCells];
    Matrix<T> hidden;                           // [N, H] h or q, which attends
    Matrix<T> context;                          // [N, C] c; with input feeding h follows
    Matrix<T> y;                                // [N, H or H+C] a or s
    T* queries = nullptr;                       // [N, A] W_q q; null: there is no W_q
    T* weights = nullptr;                       // of the attention, see weights_of
    std::vector<Index> weights_first;           // by sorted row
    const T* initial[kMostDecoderStates] = {};  // [B,H] sorted; null: zero

    Index memory_steps(Index b) const { return memory.rows.length(reads[static_cast<std::size_t>(b)]); }
    // [heads, padded_weights(memory_steps(b))] of sorted row b at step t, the steps one after the other
    Index weights_pitch(Index b) const { return memory.heads * padded_weights(memory_steps(b)); }
    T* weights_of(Index b, Index t) const {
        return weights + weights_first[static_cast<std::size_t>(b)] + t * weights_pitch(b);
    }

    // What a state was before a step, where `all` are its rows; without data: zero. And c, of a cell's tape; or null.
    Matrix<const T> before(const Matrix<T>& all, int state, const StepRows& s) const;
    const T* cell_before(int cell, const StepRows& s) const;

    double flops() const;  // of the pass forward

    // Attention of one head of sorted row b at step t, one query.
    Attention<T> attention(Index b, Index t, Index head) const;
};

// Lays a tape out and takes its memory; state: by state [B,H] in the caller's order, or null for zero.
template <class T>
void prepare_tape(AttentionRnnTape<T>& tape, bool projects_query, const std::vector<const T*>& state);

// The weights of the attention, zero past the ends, in the caller's order: [T,B,heads,steps]; and of the first step
// alone their means over the heads, [B,steps].
template <class T>
void spread_weights(const AttentionRnnTape<T>& tape, Index steps, T* to);
template <class T>
void mean_weights(const AttentionRnnTape<T>& tape, Index steps, T* to);

}  // namespace rnncore
