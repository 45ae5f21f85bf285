// Attention of a batch of queries to a batch of memories, over joined rows; see `Attention` in kernels/table.hpp for
// what is computed. Threads divide the sequences.
#pragma once

#include <cstdint>

#include "rnn/attention/joined.hpp"

namespace rnncore {

// What queries are compared with, and what they read. Of each row a head has a part of its own, of width / heads and
// value_width / heads elements.
template <class T>
struct AttentionMemory {
    const Joined& rows;
    Index heads;
    Index width, value_width;
    const T* keys;    // [N, width]; may be the values
    const T* values;  // [N, value_width]
    const T* v;       // [width] of additive scores; null: products, times scale
    T scale;
};

// Elements of the weights of all sequences, each [heads, queries, padded_weights(steps)].
template <class T>
std::size_t weights_size(const AttentionMemory<T>& memory, const Joined& queries);

// query: joined rows [N, width] of as many sequences -> context [T,B,value_width], zero past the end of the queries.
// weights: [weights_size], or null where they are not kept.
template <class T>
void attend(const AttentionMemory<T>& memory, const Joined& queries, const T* query, Index steps, T* context,
            T* weights);

template <class T>
struct AttentionGradients {
    Strided<const T> dcontext;  // [T,B,value_width]
    T* dquery;                  // joined rows [N, width]
    T* dkeys;                   // [N, width]; may be dvalues, where the keys are the values
    T* dvalues;                 // [N, value_width]
    T* dv;                      // [width], added to; null without v
};

// query and weights as of attend()
template <class T>
void attend_backward(const AttentionMemory<T>& memory, const Joined& queries, const T* query, const T* weights,
                     const AttentionGradients<T>& out);

// Queries without an order in time.
struct QueryRows {
    const std::int64_t* of;  // [count] the sequence that each reads
    Index count;
    Index steps;  // of the result, at least those of the longest sequence
};

// query [count, width] -> context [count, value_width], and the mean of the heads' weights [count, steps], zero past
// the end of a sequence
template <class T>
void attend_rows(const AttentionMemory<T>& memory, const QueryRows& rows, const T* query, T* context, T* weights);

}  // namespace rnncore
