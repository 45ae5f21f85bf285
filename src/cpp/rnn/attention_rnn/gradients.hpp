// The gradients of a decoder's parameters: sums over the rows of a chunk, once its steps have left the gradients of
// their sums. Threads divide the outputs, never a sum.
#pragma once

#include <vector>

#include "rnn/attention_rnn/tape.hpp"

namespace rnncore {

// Steps [lo, hi), the packed rows [first, first + rows).
struct DecoderChunk {
    Chunk chunk;
    Index first, rows;
};

// What the steps of a chunk leave; rows [rows, *] from its first on.
template <class T>
struct DecoderGradients {
    struct OfCell {
        const T* gates;  // [rows, G*H] at their row_pitch
        const T* extra;  // [rows, H], null without
    } cells[kMostCells];
    const T* combined;  // [rows, H] of W_c [c; h] + b_c: input feeding
    const T* queries;   // [rows, A] of W_q q; null without W_q
};

template <class T>
class AttentionRnnGradients {
public:
    AttentionRnnGradients(Arena& arena, const AttentionRnnTape<T>& tape, const Kernels<T>& kernels, Index rows,
                          int threads);
    void begin(const Arena& arena) const;  // by one thread
    // By all threads.
    void add(const Arena& arena, const DecoderChunk& chunk, const DecoderGradients<T>& d,
             const AttentionRnnArrays<T>& grads, const Worker& worker) const;

private:
    struct Job;
    void add_cell(const Job& job, int cell, T* grads) const;
    void add_outer(const Job& job, const Matrix<const T>& a, T* c, Index ldc, Index n) const;
    void point_at(const Job& job, const Matrix<const T>& operand) const;
    void point_at_previous(const Job& job, const Matrix<T>& states, int state) const;

    const AttentionRnnTape<T>& tape_;
    const AttentionRnn& layer_;
    const Kernels<T>& kernels_;
    Arena::Slot<T> zeros_;                  // [H]
    std::vector<Arena::Slot<T>> products_;  // these two by thread
    std::vector<Arena::Slot<const T*>> rows_;
};

}  // namespace rnncore
