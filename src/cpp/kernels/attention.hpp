// Attention of some queries to one sequence: scores, softmax, context, and the way back. Rows of both stand at any
// stride and are read as they are: a sequence is too short for packing to pay.
#pragma once

#include "kernels/math.hpp"
#include "kernels/table.hpp"

namespace rnncore::RNNCORE_ISA {

template <class T, int n>
struct VectorOf {
    typedef T Type __attribute__((vector_size(n * static_cast<int>(sizeof(T)))));
};

// Lanes joined by `join`, the upper half with the lower, until there are n; of one the number itself.
template <int n, class T, int lanes = kLanes<T>, class Join>
[[gnu::always_inline]] inline auto fold(typename VectorOf<T, lanes>::Type v, const Join& join) {
    if constexpr (lanes == n) {
        return v;
    } else if constexpr (lanes == 2) {
        return join(v[0], v[1]);
    } else {
        typename VectorOf<T, lanes / 2>::Type halves[2];
        __builtin_memcpy(halves, &v, sizeof v);
        return fold<n, T, lanes / 2>(join(halves[0], halves[1]), join);
    }
}

inline constexpr auto kSum = [](auto x, auto y) { return x + y; };
inline constexpr auto kGreater = [](auto x, auto y) { return y > x ? y : x; };

// The sums of the lanes of four vectors.
template <class T>
[[gnu::always_inline]] inline typename VectorOf<T, 4>::Type sums_of_four(const Vec<T> (&v)[4]) {
    const auto halved = [](Vec<T> x, Vec<T> y) { return interleave<false>(x, y) + interleave<true>(x, y); };
    if constexpr (kLanes<T> == 2) {
        const Vec<T> first = halved(v[0], v[1]), second = halved(v[2], v[3]);
        return __builtin_shufflevector(first, second, 0, 1, 2, 3);
    } else {
        return fold<4, T>(halved(halved(v[0], v[2]), halved(v[1], v[3])), kSum);
    }
}

// for_lanes of little code: where masks cost nothing, whole vectors are masked too.
template <class T, class Body>
[[gnu::always_inline]] inline void for_masked_lanes(Index n, const Body& body) {
#if defined(__AVX512F__)
    for (Index i = 0; i < n; i += kLanes<T>)
        body(i, SomeLanes{static_cast<int>(n - i < kLanes<T> ? n - i : kLanes<T>)});
#else
    for_lanes<T>(n, body);
#endif
}

inline constexpr int kScoredSteps = 4;                           // steps of a sequence that are compared at once
inline constexpr int kScoredQueries = kRegisters == 32 ? 4 : 2;  // with so many queries
inline constexpr int kSummedRows = 4;                            // rows of a sum of weighted rows

// The m-th row from `first` on, or the last one: a tile that reaches beyond does some rows twice.
template <class T>
[[gnu::always_inline]] inline T* row_of(T* rows, Index stride, Index row, Index count) {
    return rows + (row < count ? row : count - 1) * stride;
}

// c [m, n] = scale times the products of rows a [m, k] and b [n, k]
template <class T>
struct Comparison {
    const T* a;
    Index lda, m;
    const T* b;
    Index ldb, n;
    Index k;
    T* c;  // with room for a multiple of kScoredSteps in a row
    Index ldc;
    T scale;
};

// Q rows of a with all of b. Each element is summed by itself: its bits do not depend on Q.
template <int Q, class T>
[[gnu::noinline]] void compare_rows(const Comparison<T>& task, Index row) {
    const Comparison<T> t = task;
    const T* a[Q];
    for (int q = 0; q < Q; ++q) a[q] = row_of(t.a, t.lda, row + q, t.m);
    for (Index step = 0; step < t.n; step += kScoredSteps) {
        const T* b[kScoredSteps];
        for (int s = 0; s < kScoredSteps; ++s) b[s] = row_of(t.b, t.ldb, step + s, t.n);
        Vec<T> sums[Q][kScoredSteps] = {};
        for_masked_lanes<T>(t.k, [&](Index i, auto lanes) RNNCORE_INLINED {
            Vec<T> keys[kScoredSteps];
#pragma GCC unroll 4
            for (int s = 0; s < kScoredSteps; ++s) keys[s] = lanes.load(b[s] + i);
#pragma GCC unroll 4
            for (int q = 0; q < Q; ++q) {
                const Vec<T> query = lanes.load(a[q] + i);
#pragma GCC unroll 4
                for (int s = 0; s < kScoredSteps; ++s) sums[q][s] += query * keys[s];
            }
        });
#pragma GCC unroll 4
        for (int q = 0; q < Q; ++q) {
            const auto four = sums_of_four<T>(sums[q]) * t.scale;
            __builtin_memcpy(row_of(t.c, t.ldc, row + q, t.m) + step, &four, sizeof four);
        }
    }
}

template <class T>
void compare(const Comparison<T>& t) {
    for (Index row = 0; row < t.m;) {
        if (t.m - row == 1)
            compare_rows<1>(t, row++);
        else
            compare_rows<kScoredQueries>(t, row), row += kScoredQueries;
    }
}

// sum of v tanh(query + key)
template <class T>
[[gnu::noinline]] T additive_score(const T* query, const T* key, const T* v, Index width) {
    Vec<T> sum{};
    for_masked_lanes<T>(width, [&](Index i, auto lanes) RNNCORE_INLINED {
        sum += lanes.load(v + i) * tanh<T>(lanes.load(query + i) + lanes.load(key + i));
    });
    return fold<1, T>(sum, kSum);
}

// The elements behind the steps of a row.
template <class T>
[[gnu::noinline]] void pad_weights(T* row, Index steps, T value) {
    for (Index i = steps; i < padded_weights(steps); ++i) row[i] = value;
}

template <class T, class Body>
[[gnu::always_inline]] inline void for_padded(Index steps, const Body& body) {
    for (Index i = 0; i < padded_weights(steps); i += kLanes<T>) body(i);
}

// Scores -> weights. A padded element, -inf, becomes zero.
template <class T>
[[gnu::noinline]] void softmax_row(T* row, Index steps) {
    pad_weights<T>(row, steps, -__builtin_inf());
    Vec<T> greatest = load(row), sum{};
    for_padded<T>(steps, [&](Index i) { greatest = kGreater(greatest, load(row + i)); });
    const T shift = fold<1, T>(greatest, kGreater);
    for_padded<T>(steps, [&](Index i) {
        const Vec<T> e = exp<T>(load(row + i) - shift);
        store(row + i, e);
        sum += e;
    });
    const T share = T(1) / fold<1, T>(sum, kSum);
    for_padded<T>(steps, [&](Index i) { store(row + i, load(row + i) * share); });
}

// c [m, n] = or += sum over k of a[m, k] b[k, n], where a[m, k] stands at a[m * a_row + k * a_step].
template <class T>
struct WeightedRows {
    const T* a;
    Index a_row, a_step;
    const T* b;
    Index ldb;
    T* c;
    Index ldc;
    Index m, n, k;
    bool keep;
};

template <int M, int V, class T, class L>
[[gnu::noinline]] void weighted_tile(const WeightedRows<T>& task, Index row, Index column, L lanes) {
    const WeightedRows<T> t = task;
    const T* a[M];
    T* c[M];
    for (int m = 0; m < M; ++m) {
        a[m] = row_of(t.a, t.a_row, row + m, t.m);
        c[m] = row_of(t.c, t.ldc, row + m, t.m) + column;
    }
    Vec<T> sums[M][V];
#pragma GCC unroll 4
    for (int m = 0; m < M; ++m) {
#pragma GCC unroll 4
        for (int v = 0; v < V; ++v) sums[m][v] = t.keep ? lanes.load(c[m] + v * kLanes<T>) : Vec<T>{};
    }
    const T* b = t.b + column;
    for (Index k = 0, at = 0; k < t.k; ++k, at += t.a_step, b += t.ldb) {
        Vec<T> columns[V];
#pragma GCC unroll 4
        for (int v = 0; v < V; ++v) columns[v] = lanes.load(b + v * kLanes<T>);
#pragma GCC unroll 4
        for (int m = 0; m < M; ++m) {
            const Vec<T> weight = splat(a[m][at]);
#pragma GCC unroll 4
            for (int v = 0; v < V; ++v) sums[m][v] += weight * columns[v];
        }
    }
#pragma GCC unroll 4
    for (int m = 0; m < M; ++m) {
#pragma GCC unroll 4
        for (int v = 0; v < V; ++v) lanes.store(c[m] + v * kLanes<T>, sums[m][v]);
    }
}

template <class T>
void add_weighted_rows(const WeightedRows<T>& t) {
    constexpr int kVectors = kRegisters == 32 ? 4 : 2;
    const auto all_rows = [&](auto of_one, auto of_several) {
        for (Index row = 0; row < t.m;) {
            if (t.m - row == 1)
                of_one(row++);
            else
                of_several(row), row += kSummedRows;
        }
    };
    Index column = 0;
    for (; column + kVectors * kLanes<T> <= t.n; column += kVectors * kLanes<T>)
        all_rows([&](Index row) { weighted_tile<1, kVectors>(t, row, column, AllLanes{}); },
                 [&](Index row) { weighted_tile<kSummedRows, kVectors>(t, row, column, AllLanes{}); });
    for (; column < t.n; column += kLanes<T>) {
        const Index rest = t.n - column < kLanes<T> ? t.n - column : kLanes<T>;
        const SomeLanes lanes{static_cast<int>(rest)};
        all_rows([&](Index row) { weighted_tile<1, 1>(t, row, column, lanes); },
                 [&](Index row) { weighted_tile<kSummedRows, 1>(t, row, column, lanes); });
    }
}

template <class T>
void attention(const Attention<T>& p) {
    if (p.steps > 0) {
        if (!p.v)
            compare<T>({p.query, p.ld_query, p.queries, p.keys, p.ld_keys, p.steps, p.width, p.weights, p.ld_weights,
                        p.scale});
        for (Index t = 0; t < p.queries; ++t) {
            T* const row = p.weights + t * p.ld_weights;
            for (Index s = 0; p.v && s < p.steps; ++s)
                row[s] = additive_score(p.query + t * p.ld_query, p.keys + s * p.ld_keys, p.v, p.width);
            softmax_row(row, p.steps);
        }
    }
    add_weighted_rows<T>({p.weights, p.ld_weights, 1, p.values, p.ld_values, p.context, p.ld_context, p.queries,
                          p.value_width, p.steps, false});
}

// dweights[t, s] = dcontext[t] . values[s]
// dscores[t, s] = scale weights[t, s] (dweights[t, s] - sum over r of weights[t, r] dweights[t, r])
template <class T>
void attention_scores_backward(const AttentionBackward<T>& p) {
    const Attention<T>& of = p.of;
    if (of.steps == 0) return;
    compare<T>({p.dcontext, p.ld_dcontext, of.queries, of.values, of.ld_values, of.steps, of.value_width, p.dscores,
                of.ld_weights, 1});
    const T scale = of.v ? T(1) : of.scale;
    for (Index t = 0; t < of.queries; ++t) {
        const T* const weights = of.weights + t * of.ld_weights;
        T* const row = p.dscores + t * of.ld_weights;
        pad_weights<T>(row, of.steps, 0);
        Vec<T> sum{};
        for_padded<T>(of.steps, [&](Index i) { sum += load(weights + i) * load(row + i); });
        const T mean = fold<1, T>(sum, kSum);
        for_padded<T>(of.steps, [&](Index i) { store(row + i, load(weights + i) * (load(row + i) - mean) * scale); });
    }
}

// With u = tanh(query[t] + keys[s]) and g[t, s] = dscores[t, s] (1 - u^2):
// dv += sum of dscores[t, s] u, dquery[t] = v sum over s of g[t, s], dkeys[s] += v sum over t of g[t, s]
template <class T>
void additive_backward(const AttentionBackward<T>& p) {
    const Attention<T>& of = p.of;
    for_masked_lanes<T>(of.width, [&](Index i, auto lanes) {
        const Vec<T> v = lanes.load(of.v + i);
        Vec<T> dv = lanes.load(p.dv + i);
        for (Index t = 0; t < of.queries; ++t) {
            const Vec<T> query = lanes.load(of.query + t * of.ld_query + i);
            const T* const dscores = p.dscores + t * of.ld_weights;
            Vec<T> sum{};
            for (Index s = 0; s < of.steps; ++s) {
                const Vec<T> u = tanh<T>(query + lanes.load(of.keys + s * of.ld_keys + i));
                const Vec<T> g = splat(dscores[s]) * d_tanh<T>(u);
                T* const dkey = p.dkeys + s * p.ld_dkeys + i;
                lanes.store(dkey, lanes.load(dkey) + v * g);
                dv += splat(dscores[s]) * u;
                sum += g;
            }
            lanes.store(p.dquery + t * p.ld_dquery + i, v * sum);
        }
        lanes.store(p.dv + i, dv);
    });
}

// dquery[t] = sum over s of dscores[t, s] keys[s]
template <class T>
void attention_query_backward(const AttentionBackward<T>& p) {
    const Attention<T>& of = p.of;
    if (of.v)
        additive_backward(p);
    else
        add_weighted_rows<T>({p.dscores, of.ld_weights, 1, of.keys, of.ld_keys, p.dquery, p.ld_dquery, of.queries,
                              of.width, of.steps, false});
}

// dvalues[s] += sum over t of weights[t, s] dcontext[t], dkeys[s] += sum over t of dscores[t, s] query[t]
template <class T>
void attention_memory_backward(const AttentionBackward<T>& p) {
    const Attention<T>& of = p.of;
    add_weighted_rows<T>({of.weights, 1, of.ld_weights, p.dcontext, p.ld_dcontext, p.dvalues, p.ld_dvalues, of.steps,
                          of.value_width, of.queries, true});
    if (!of.v)
        add_weighted_rows<T>({p.dscores, 1, of.ld_weights, of.query, of.ld_query, p.dkeys, p.ld_dkeys, of.steps,
                              of.width, of.queries, true});
}

}  // namespace rnncore::RNNCORE_ISA
