// The second part of the pass backward: once the steps of a chunk have left da, the gradients of their sums, those of
// the layer's parameters, summed over the rows of the chunk,
//     dW_ih += da^T x,  dW_hh += da^T h_prev,  db += da.
// Threads divide the outputs, never a sum, so that the bits of a result do not depend on their number.
#pragma once

#include <array>
#include <vector>

#include "core/memory.hpp"
#include "rnn/backward.hpp"
#include "rnn/matrix.hpp"
#include "rnn/schedule.hpp"
#include "rnn/tape.hpp"

namespace rnncore {

// A chunk of one direction of a layer: rows [first, first + rows) of the packed arrays.
struct ChunkRows {
    Index layer, direction;
    TimeOrder order;
    Chunk chunk;
    Index first, rows;
};

// What the steps of a chunk leave.
template <class T>
struct SumGradients {
    const T* gates;  // [rows, G*H] da, at their row_pitch
    const T* extra;  // [rows, H] see CellBackward::dextra; null without an extra vector
};

template <class T>
class WeightGradients {
public:
    WeightGradients(Arena& arena, const Tape<T>& tape, const Kernels<T>& kernels, const BackwardOutput<T>& out);
    void reserve_scratch(Arena& arena, Index rows, int threads);  // used within `add` only

    // Before any thread adds, by one of them each: once, and for every direction of every layer.
    void begin_pass(const Arena& arena) const;
    void begin_direction(const Arena& arena, Index layer, Index direction) const;
    // By all threads.
    void add(const Arena& arena, const ChunkRows& chunk, const SumGradients<T>& da, const Worker& worker) const;
    void end_direction(const Arena& arena, Index layer, Index direction, const Worker& worker) const;

private:
    bool one_hot(Index layer) const { return layer == 0 && tape_.one_hot; }
    bool owns_table(Index layer) const { return one_hot(layer) && !out_.table; }
    T* table(const Arena& arena, Index direction) const {
        return out_.table ? out_.table : tables_[static_cast<std::size_t>(direction)].in(arena);
    }

    void add_inputs(const Arena& arena, const ChunkRows& c, const T* da, const Worker& w) const;
    void add_recurrent(const Arena& arena, const ChunkRows& c, const SumGradients<T>& da, const Worker& w) const;
    void add_biases(const ChunkRows& c, const SumGradients<T>& da, const Worker& w) const;
    void add_to_table(const Arena& arena, const ChunkRows& c, const T* da, const Worker& w) const;
    void add_outer(const Arena& arena, const Worker& w, OuterProduct<T> p) const;
    Range previous_rows(const Arena& arena, const ChunkRows& c, const T** rows) const;

    const T** row_pointers(const Arena& arena, const Worker& w) const {
        return rows_[static_cast<std::size_t>(w.thread)].in(arena);
    }
    // The gradient of what a recurrent product results in.
    Matrix<const T> gradient_of(const RecurrentProduct& product, const ChunkRows& c, const SumGradients<T>& da) const;

    const Tape<T>& tape_;
    const Network& net_;
    const Kernels<T>& kernels_;
    const BackwardOutput<T>& out_;
    Index ld_gates_;
    std::array<Arena::Slot<T>, 2> tables_;  // by direction
    Arena::Slot<T> zeros_;                  // [R]
    std::vector<Arena::Slot<T>> products_;  // these two by thread
    std::vector<Arena::Slot<const T*>> rows_;
};

}  // namespace rnncore
