// Products of a few rows with weights in one of the storages: what a step of a stream is made of. Bound by reading the
// weights, which stand in the order in which they are read: panels of 8 vectors of columns, the last ones of 4, 2 and
// 1, each holding its columns over the whole of k.
#pragma once

#include "kernels/storage.hpp"

namespace rnncore::RNNCORE_ISA {

inline constexpr int kPanelWidth = 8;
// Rows that share one pass over the weights: as many as leave room for a slice beside their sums.
inline constexpr int kFewRows = kRegisters == 32 ? 3 : 1;

template <class S>
inline constexpr Index kColumns = kLanes<typename S::Value>;

template <class S>
[[gnu::always_inline]] inline Index slices_of(Index k) {
    return (k + S::steps - 1) / S::steps;
}

template <class S>
Index packed_bytes(Index k, Index n) {
    constexpr Index kUnit = S::unit * kColumns<S>;
    return (n + kUnit - 1) / kUnit * kUnit * (S::head_bytes + slices_of<S>(k) * S::slice_bytes);
}

template <int N>
struct Width {
    static constexpr int vectors = N;
};

// Calls body(first column, Width, where the panel begins) for each panel.
template <class S, class Packed, class Body>
[[gnu::always_inline]] inline void for_panels(Packed* packed, Index k, Index n, const Body& body) {
    constexpr Index kUnit = S::unit * kColumns<S>;
    const Index bytes = S::head_bytes + slices_of<S>(k) * S::slice_bytes;
    const Index padded = (n + kUnit - 1) / kUnit * kUnit;
    Index first = 0;
    for (; first + kPanelWidth * kColumns<S> <= padded; first += kPanelWidth * kColumns<S>)
        body(first, Width<kPanelWidth>{}, packed + first * bytes);
    const auto rest = [&](auto width) {
        if (first + width.vectors * kColumns<S> > padded) return;
        body(first, width, packed + first * bytes);
        first += width.vectors * kColumns<S>;
    };
    rest(Width<4>{});
    rest(Width<2>{});
    if constexpr (S::unit == 1) rest(Width<1>{});
}

// Calls body(lanes) for a vector of which `rest` elements are there; not at all where none is.
template <class T, class Body>
[[gnu::always_inline]] inline void with_lanes(Index rest, const Body& body) {
    if (rest >= kLanes<T>)
        body(AllLanes{});
    else if (rest > 0)
        body(SomeLanes{static_cast<int>(rest)});
}

// Up to kFewRows rows by one panel, all of its columns.
template <class S>
struct FewRowsTile {
    using Value = typename S::Value;
    const char* panel;
    const typename S::Operand* a;  // [rows, slices]
    Index lda, slices;
    const Value* start;  // [rows, columns]
    Index ld_start;
    Value* c;  // [rows, columns]
    Index ldc;
    const QuantizedRow* quantized;  // [rows], int8
};

// The sums of the first chain += those of the first `count`.
template <int count, class Sum, int C, int R, int V>
[[gnu::always_inline]] inline void add_chains(Sum (&sums)[C][R][V]) {
    if constexpr (count > 1) {
#pragma GCC unroll 12
        for (int i = 0; i < count / 2 * R * V; ++i) {
            const int chain = i / (R * V), r = i / V % R, v = i % V;
            sums[chain][r][v] += sums[chain + count / 2][r][v];
        }
        add_chains<count / 2>(sums);
    }
}

// A panel of fewer vectors sums every second, fourth or eighth slice by itself: eight chains of products are under way
// in any case, as many as hide the latency of one.
template <class S, int R, int V, bool fetch>
[[gnu::noinline]] void few_rows_tile(const FewRowsTile<S>& t) {
    constexpr bool kInteger = S::steps > 1;
    constexpr int kChains = kPanelWidth / V;
    typename S::Sum sums[kChains][R][V] = {};
#pragma GCC unroll 3
    for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
        for (int v = 0; v < V; ++v) {
            if constexpr (kInteger)
                sums[0][r][v] = load_words(t.panel + v * kVectorBytes) + splat_word(t.quantized[r].sum);
            else
                sums[0][r][v] = load(t.start + r * t.ld_start + v * kColumns<S>);
        }
    }
    const char* slice = t.panel + V * kColumns<S> * S::head_bytes;
    const auto step = [&](Index i, int chain) {
        typename S::Operand a[R];
#pragma GCC unroll 3
        for (int r = 0; r < R; ++r) a[r] = t.a[r * t.lda + i];
        S::template multiply_add<fetch, R, V>(slice, a, sums[chain]);
        slice += V * kColumns<S> * S::slice_bytes;
    };
    Index i = 0;
    constexpr int kRound = kChains > S::round ? kChains : S::round;
    for (; i + kRound <= t.slices; i += kRound) {
#pragma GCC unroll 8
        for (int u = 0; u < kRound; ++u) step(i + u, u % kChains);
    }
    for (; i < t.slices; ++i) step(i, 0);
    add_chains<kChains>(sums);
#pragma GCC unroll 3
    for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
        for (int v = 0; v < V; ++v) {
            auto* const c = t.c + r * t.ldc + v * kColumns<S>;
            if constexpr (kInteger)
                store(c, load(t.start + r * t.ld_start + v * kColumns<S>) +
                             __builtin_convertvector(sums[0][r][v], Vec<float>) *
                                 (S::template scales<V>(t.panel, v) * t.quantized[r].scale));
            else
                store(c, sums[0][r][v]);
        }
    }
}

// The last panel where it has more columns than the matrix: computed beside and copied.
template <class S>
[[gnu::noinline]] void edge_tile(void (*run)(const FewRowsTile<S>&), FewRowsTile<S> t, Index rows, Index columns) {
    using Value = typename S::Value;
    constexpr Index kWidth = kPanelWidth * kColumns<S>;
    Value tile[kFewRows * kWidth];
    const auto copy = [&](const Value* from, Index ld_from, Value* to, Index ld_to) {
        for (Index r = 0; r < rows; ++r) {
            for (Index j = 0; j < columns; ++j) to[r * ld_to + j] = from[r * ld_from + j];
        }
    };
    copy(t.start, t.ld_start, tile, kWidth);
    Value* const c = t.c;
    const Index ldc = t.ldc;
    t.start = t.c = tile;
    t.ld_start = t.ldc = kWidth;
    run(t);
    copy(tile, kWidth, c, ldc);
}

template <class S, int V>
[[gnu::always_inline]] inline auto tile_for(Index rows, bool fetch) {
    if constexpr (kFewRows > 1) {
        if (rows == 2) return few_rows_tile<S, 2, V, false>;
        if (rows == 3) return few_rows_tile<S, 3, V, false>;
    }
    return V == kPanelWidth && fetch ? few_rows_tile<S, 1, V, V == kPanelWidth> : few_rows_tile<S, 1, V, false>;
}

template <class S>
[[gnu::always_inline]] inline Index operand_stride(const FewRows<typename S::Value>& p) {
    return S::steps == 1 ? p.lda : slices_of<S>(p.k);
}

// The rows as the product reads them.
template <class S>
[[gnu::always_inline]] inline const typename S::Operand* operands(const FewRows<typename S::Value>& p, Index row,
                                                                  Index rows, QuantizedRow* quantized) {
    if constexpr (S::steps == 1) {
        return p.a + row * p.lda;
    } else {
        typedef unsigned char Bytes __attribute__((vector_size(kVectorBytes / 4)));
        auto* const bytes = static_cast<unsigned char*>(p.scratch);
        const Index stride = S::steps * slices_of<S>(p.k);
        for (Index r = 0; r < rows; ++r) {
            const float* const x = p.a + (row + r) * p.lda;
            const float scale = scale_of_row(x, p.k);
            Word sums{};
            // whole vectors: what is written past the row belongs to the next one or to the padding of the scratch
            for_lanes<float>(p.k, [&](Index i, auto lanes) {
                const Word q = quantize<S::offset>(lanes.load(x + i), scale);
                sums += S::added_to_sums(q);
                const Bytes narrow = __builtin_convertvector(q, Bytes);
                __builtin_memcpy(bytes + r * stride + i, &narrow, sizeof narrow);
            });
            quantized[r] = {scale, sum_of(sums)};
        }
        return static_cast<const typename S::Operand*>(p.scratch);
    }
}

template <class S>
Index few_rows_scratch(Index k) {
    return S::steps == 1 ? 0 : kFewRows * slices_of<S>(k) * S::steps + kVectorBytes / 4;
}

// Inline, for a step of a small layer calls it two or three times.
template <class S>
[[gnu::always_inline]] inline void few_rows(const FewRows<typename S::Value>& p) {
    const bool fetch = packed_bytes<S>(p.k, p.n) > kFetchedBytes && !fetches_by_itself();
    for (Index row = 0; row < p.rows; row += kFewRows) {
        const Index rows = p.rows - row < kFewRows ? p.rows - row : kFewRows;
        QuantizedRow quantized[kFewRows];
        const auto* const a = operands<S>(p, row, rows, quantized);
        for_panels<S>(static_cast<const char*>(p.packed), p.k, p.n, [&](Index first, auto width, const char* panel) {
            constexpr int V = decltype(width)::vectors;
            FewRowsTile<S> t{panel,
                             a,
                             operand_stride<S>(p),
                             slices_of<S>(p.k),
                             kZeros<typename S::Value>,
                             0,
                             p.c + row * p.ldc + first,
                             p.ldc,
                             quantized};
            if (p.init == Init::bias) t.start = p.bias + first;
            if (p.init == Init::keep) t.start = t.c, t.ld_start = p.ldc;
            const auto run = tile_for<S, V>(rows, fetch);
            if (p.n - first < V * kColumns<S>)
                edge_tile<S>(run, t, rows, p.n - first);
            else
                run(t);
        });
    }
}

// c = bias + W[:, index]
template <class S>
void look_up(const FewRows<typename S::Value>& p, Index index) {
    for_panels<S>(static_cast<const char*>(p.packed), p.k, p.n, [&](Index first, auto width, const char* panel) {
        constexpr int V = decltype(width)::vectors;
#pragma GCC unroll 8
        for (int v = 0; v < V; ++v) {
            const Index column = first + v * kColumns<S>;
            with_lanes<typename S::Value>(p.n - column, [&](auto lanes) {
                lanes.store(p.c + column, lanes.load(p.bias + column) + S::template element<V>(panel, index, v));
            });
        }
    });
}

template <class S>
void pack_storage(const StoragePacking<typename S::Value>& p) {
    for_panels<S>(static_cast<char*>(p.packed), p.k, p.n, [&](Index first, auto width, char* panel) {
        for (int v = 0; v < width.vectors; ++v) {
            const Index column = first + v * kColumns<S>, rest = p.n - column;
            const int used = rest <= 0            ? 0
                             : rest < kColumns<S> ? static_cast<int>(rest)
                                                  : static_cast<int>(kColumns<S>);
            const Columns<typename S::Value> columns{p.weight + column * p.stride, p.stride, used, p.k};
            S::template pack<width.vectors>(columns, v, panel);
        }
    });
}

}  // namespace rnncore::RNNCORE_ISA
