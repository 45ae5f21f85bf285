// The kernels of one instruction set as a table of functions, and the structures they take. Only plain data here: the
// header is seen both by code compiled for one instruction set and by the code that calls it.
// Dimensions: src/cpp/README.md. No kernel allocates, throws or starts threads.
#pragma once

#include <cstddef>
#include <cstdint>

namespace rnncore {

using Index = std::ptrdiff_t;

// What a product finds in its result: nothing, the bias of each column, or a value to add to.
enum class Init { zero, bias, keep };

// What the operands of a pass's products are: the matrices as they stand, or rounded to bfloat16 (to nearest, ties to
// even). Sums, weights, gradients and states have the matrices' own type in both.
enum class Compute { full, bfloat16 };

// rows of A and of C that follow each other at the strides lda and ldc, one at least where there are several blocks; E
// is what an operand is stored as
template <class T, class E = T>
struct RowBlock {
    const E* a;  // [rows, k]
    T* c;        // [rows, n]
    Index rows;
};

// b[k, n] = source[k * stride_k + n * stride_n], one of the strides being 1 -> panels of `tile_columns` columns:
// packed[panel][k][column]. The last panel is padded with zeros up to a multiple of the lanes. A panel has packed_depth
// elements for each of its columns.
template <class T>
struct Packing {
    const T* source;
    Index stride_k, stride_n;
    Index k, n;
    T* packed;
};

// c = init + a b for every block. Each element is summed in the order of k from its initial value: its bits do not
// depend on how rows or columns are divided.
template <class T, class E = T>
struct Product {
    const RowBlock<T, E>* blocks;
    Index block_count;
    Index lda, ldc;
    const E* packed;  // b, see Packing
    const T* bias;    // [n] for Init::bias
    Index k, n;
    Init init;
    // Of a few rows: whether groups of panels of b are read from the last to the first. Steps that read in turn find in
    // a cache, which does not hold all of b, what the step before has read last.
    bool from_end = false;
    void* scratch = nullptr;  // [product_scratch_bytes]
};

// c[m, n] += sum over k of a[k, m] b[k, n]: a weight gradient, summed over steps and rows.
template <class T>
struct OuterProduct {
    const T* a;  // [k, m]
    Index lda;
    const T* const* b;  // k pointers to rows [n]
    T* c;               // [m, n]
    Index ldc;
    Index k, m, n;
    T* scratch;  // [outer_scratch]
};

// How the weights of products with few rows are stored: as they are, as bfloat16 numbers, or as int8 numbers with a
// scale for each row of W. With int8_dynamic the activations are rounded in the same way, when they are multiplied. Of
// double matrices: as they are.
enum class Storage { full, bfloat16, int8, int8_dynamic };
inline constexpr int kStorages = 4;

// W [n, k] -> packed [packed_bytes(k, n)]
template <class T>
struct StoragePacking {
    const T* weight;
    Index stride;  // of its rows
    Index k, n;
    void* packed;
};

// c = init + a W^T for a few rows. The bits of a row do not depend on the other rows.
template <class T>
struct FewRows {
    const T* a;  // [rows, k]
    Index lda;
    T* c;  // [rows, n]
    Index ldc;
    Index rows;
    const void* packed;  // W
    Index k, n;
    const T* bias;  // [n] for Init::bias
    Init init;
    void* scratch;  // [scratch_bytes(k)]
    // Panels of full width from the last to the first: what the caches have kept of the product before comes first.
    bool from_end = false;
};

// One step of one direction, pointwise part, of the units [first_unit, first_unit + units). ld_* are row strides; the
// other arrays have rows of `hidden` elements.
template <class T>
struct CellForward {
    Index rows, hidden;
    Index first_unit, units;
    T* gates;  // [rows, G*H] sums in, activations out; of CellKind::rnn the sums only, which may stand in h
    Index ld_gates;
    T* extra;         // [rows, H] GRU only: W_hn h + b_hn (reset after) or r * h (reset before)
    const T* h_prev;  // [rows, H], null: zero
    Index ld_h_prev;
    T* h;  // [rows, H]
    Index ld_h;
    const T* c_prev;  // [rows, H] LSTM only, null: zero; may be c
    T* c;             // [rows, H]
};

// Steps of one direction of one layer one after the other, the input's part of the sums being there for all of them.
template <class T>
struct LayerSteps {
    CellForward<T> first;  // the first step, of all units
    Index steps;
    Index to_gates, to_extra, to_h, to_c;  // how far those of the next step stand from a step's; may be negative or 0
    const void* recurrent;                 // W_hh; of a GRU: W_hr and W_hz
    const void* recurrent_n;               // W_hn, GRU only
    const T* bias_n;                       // [H] b_hn (reset after)
    void* scratch;                         // [scratch_bytes(hidden)]
};

template <class T>
struct CellBackward {
    Index rows, hidden;
    Index first_unit, units;
    const T* gates;  // [rows, G*H] activations
    Index ld_gates;
    const T* extra;   // [rows, H]
    const T* h_prev;  // [rows, H], null: zero
    Index ld_h_prev;
    const T* h;  // [rows, H]
    Index ld_h;
    const T* c_prev;  // [rows, H], null: zero
    const T* c;       // [rows, H]
    const T* dy;      // [rows, H] gradient of this step's output, null: zero
    Index ld_dy;
    T* dh;      // [rows, H] gradient of h from later steps in; the part of h_prev's that needs no product out
    T* dc;      // [rows, H] LSTM only: gradient of c in, of c_prev out
    T* dgates;  // [rows, G*H] gradient of the sums
    Index ld_dgates;
    T* dextra;  // [rows, H] GRU only: gradient of `extra`, out (reset after) or in (reset before, second part)
};

// Rows of attention weights are padded with zeros to a multiple of so many elements, in every instruction set.
inline constexpr Index kWeightsUnit = 16;
[[gnu::always_inline]] inline constexpr Index padded_weights(Index steps) {
    return (steps + kWeightsUnit - 1) / kWeightsUnit * kWeightsUnit;
}

// Attention of some queries to the steps of one sequence, one head:
//     score[t, s] = scale query[t] . keys[s], or, where there is v, the sum of v tanh(query[t] + keys[s])
//     weights[t] = softmax(score[t]),  context[t] = sum over s of weights[t, s] values[s]
// Without steps the context is zero. The bits of a query's results do not depend on the other queries.
template <class T>
struct Attention {
    Index queries, steps;
    Index width, value_width;
    const T* query;  // [queries, width]
    Index ld_query;
    const T* keys;  // [steps, width]
    Index ld_keys;
    const T* values;  // [steps, value_width]
    Index ld_values;
    const T* v;  // [width], or null
    T scale;
    T* weights;  // [queries, padded_weights(steps)]
    Index ld_weights;
    T* context;  // [queries, value_width]
    Index ld_context;
};

// Its way back, in three calls: the second needs the first, the third both. Of queries that follow from each other the
// first two are called for each, the third for all at once.
template <class T>
struct AttentionBackward {
    Attention<T> of;  // without `context`
    const T* dcontext;
    Index ld_dcontext;
    T* dscores;  // as `weights`, at their stride: 1. written, gradient of query[t] . keys[s] or of the sum of v tanh
    T* dquery;   // 2. written
    Index ld_dquery;
    T* dkeys;  // added to, with v in 2., without in 3.
    Index ld_dkeys;
    T* dv;       // 2. added to
    T* dvalues;  // 3. added to
    Index ld_dvalues;
};

// y = x * mask / (1 - p): element i is kept where the Philox number of (seed, first + i) says so, whatever the
// instruction set, the number of threads or the way an array is divided. x may be y.
template <class T>
struct Dropout {
    const T* x;
    T* y;
    Index n;
    std::uint64_t first;
    std::uint64_t seed;
    double p;
};

// Connectionist temporal classification of one sequence: of frames z [C] of unnormalised log-probabilities, the
// probability of its labels, which is the sum over all paths of one symbol a frame that become the labels once repeats
// are merged and blanks left out.
template <class T>
struct Ctc {
    T* const* rows;  // [frames], each z [C]; with `gradient` overwritten, otherwise only read
    Index frames, symbols;
    const std::int64_t* labels;  // [label_count], none of them the blank
    Index label_count, blank;
    bool gradient;
    T scale;        // of the gradient
    T* row;         // [symbols], without gradient: for work
    void* scratch;  // [(frames + kCtcSpareFrames) * ctc_frame_bytes(label_count)]; without gradient as of 1 frame
};
inline constexpr Index kCtcSpareFrames = 4;

// One update of the parameters p by gradients g' = clip(g * scale, -clip_value, clip_value).
template <class T>
struct Update {
    Index n;
    T* params;
    T* grads;
    T* first;   // momentum, or the average of the gradients; may be null for SGD
    T* second;  // the average of the squared gradients (RMSprop, Adam)
    T scale, clip_value;
    T learning_rate, weight_decay;
    T beta1, beta2, eps;         // SGD: beta1 is the momentum; RMSprop: beta2 is alpha
    T correction1, correction2;  // Adam: 1 / (1 - beta1^t), 1 / sqrt(1 - beta2^t)
    bool nesterov;
    bool decoupled;  // AdamW: the decay does not enter the averages
    bool zero_grad;
};

// Products and steps of few rows, with weights in one storage.
template <class T>
struct StorageKernels {
    int rows;  // that share a pass over the weights
    Index (*packed_bytes)(Index k, Index n);
    Index (*scratch_bytes)(Index k);
    void (*pack)(const StoragePacking<T>&);
    void (*product)(const FewRows<T>&);
    void (*look_up)(const FewRows<T>&, Index index);  // c [n] = bias + W[:, index]
    void (*rnn_steps[4])(const LayerSteps<T>&);       // in the order of enum class Nonlinearity
    void (*lstm_steps)(const LayerSteps<T>&);
    void (*gru_after_steps)(const LayerSteps<T>&);
    void (*gru_before_steps)(const LayerSteps<T>&);
};

template <class T>
struct Kernels {
    int lanes;
    int tile_rows, tile_columns;
    int k_steps;         // to a multiple of which zeros pad a column of a packed matrix
    int k_elements;      // that hold so many steps
    bool makes_squares;  // of rows of a, for each product: one of few columns is too short for that
    Index product_scratch_bytes;
    Index outer_scratch;  // elements

    void (*pack)(const Packing<T>&);
    void (*product)(const Product<T>&);
    void (*outer_product)(const OuterProduct<T>&);
    void (*add_column_sums)(const T* a, Index rows, Index columns, Index lda, T* sums);

    void (*rnn_forward[4])(const CellForward<T>&);  // in the order of enum class Nonlinearity
    void (*rnn_backward[4])(const CellBackward<T>&);
    void (*lstm_forward)(const CellForward<T>&);
    void (*lstm_backward)(const CellBackward<T>&);
    void (*gru_after_forward)(const CellForward<T>&);
    void (*gru_after_backward)(const CellBackward<T>&);
    void (*gru_before_gates)(const CellForward<T>&);   // r, z and extra = r * h_prev
    void (*gru_before_output)(const CellForward<T>&);  // n and h
    void (*gru_before_output_backward)(const CellBackward<T>&);
    void (*gru_before_gates_backward)(const CellBackward<T>&);

    void (*attention)(const Attention<T>&);
    void (*attention_scores_backward)(const AttentionBackward<T>&);  // 1. dscores
    void (*attention_query_backward)(const AttentionBackward<T>&);   // 2. dquery; with v also dkeys and dv
    void (*attention_memory_backward)(const AttentionBackward<T>&);  // 3. dvalues; without v also dkeys

    // logits [V] -> (softmax - one_hot(target)) * scale, in place; returns -log softmax[target]
    double (*cross_entropy_grad)(T* logits, Index n, Index target, T scale);
    double (*cross_entropy)(const T* logits, Index n, Index target);

    // -log of the probability of the labels: infinity where it is 0, not a number where a frame is not made of numbers
    // below infinity. Rows become the gradient by z, (softmax(z) - posterior) * scale; where the loss is infinite 0,
    // and where it is not a number that too.
    double (*ctc)(const Ctc<T>&);
    Index (*ctc_frame_bytes)(Index label_count);

    void (*exp)(const T* x, Index n, T* y);
    void (*sigmoid)(const T* x, Index n, T* y);
    void (*tanh)(const T* x, Index n, T* y);
    void (*add)(const T* x, Index n, T* y);                   // y += x
    void (*scale)(T factor, Index n, T* y);                   // y *= factor
    void (*multiply)(const T* x, const T* y, Index n, T* z);  // z = x * y
    void (*clip)(T limit, Index n, T* y);
    double (*squared_norm)(const T* x, Index n);

    void (*dropout)(const Dropout<T>&);

    StorageKernels<T> storages[kStorages];  // in the order of enum class Storage; of double: the first only

    void (*sgd)(const Update<T>&);
    void (*rmsprop)(const Update<T>&);
    void (*adam)(const Update<T>&);

    // what the processor can do at most, for benchmarks
    T (*multiply_adds)(T half, Index n);                   // in registers; tends to 1
    T (*repeated_sum)(const T* x, Index n, Index rounds);  // reads x `rounds` times
};

enum class Nonlinearity { tanh, relu, sigmoid, identity };

struct KernelTable {
    const char* name;
    Kernels<float> f32;
    Kernels<double> f64;
    Kernels<float> bf16;      // f32 with the operands of pack, product and outer_product rounded
    Kernels<float> f32_tall;  // f32 with those three as they are fastest where matrices have many rows
};

// Of the matrices that are multiplied.
enum class Height { any, tall };

template <class T>
const Kernels<T>& kernels_of(const KernelTable& table, Compute compute, Height height);
template <>
inline const Kernels<float>& kernels_of(const KernelTable& table, Compute compute, Height height) {
    return compute == Compute::bfloat16 ? table.bf16 : height == Height::tall ? table.f32_tall : table.f32;
}
template <>
inline const Kernels<double>& kernels_of(const KernelTable& table, Compute, Height) {
    return table.f64;
}

// Elements that a packed matrix holds for each of its columns.
template <class T>
Index packed_depth(const Kernels<T>& kernels, Index k) {
    return (k + kernels.k_steps - 1) / kernels.k_steps * kernels.k_elements;
}

}  // namespace rnncore
