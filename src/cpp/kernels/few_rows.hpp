// Products of a few rows with weights in one of the storages: what a step of a stream is made of. Bound by reading the
// weights, which stand in the order in which they are read: panels of 8 vectors of columns, the last ones of 4, 2 and
// 1, each holding its columns over the whole of k.
#pragma once

#include "kernels/int8_storage.hpp"

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

// Calls body(first column, halvings of the width, where the panel begins) for each panel; those of full width from the
// last to the first if so asked.
template <class S, class Packed, class Body>
[[gnu::always_inline]] inline void for_panels(Packed* packed, Index k, Index n, bool from_end, const Body& body) {
    constexpr Index kUnit = S::unit * kColumns<S>, kWide = kPanelWidth * kColumns<S>;
    const Index bytes = S::head_bytes + slices_of<S>(k) * S::slice_bytes;
    const Index padded = (n + kUnit - 1) / kUnit * kUnit, last_wide = padded / kWide * kWide - kWide;
    int halvings = 0;
    for (Index taken = 0; taken < padded;) {
        const Index columns = kWide >> halvings;
        if (taken + columns > padded) {
            ++halvings;
            continue;
        }
        const Index first = from_end && halvings == 0 ? last_wide - taken : taken;
        body(first, halvings, packed + first * bytes);
        taken += columns;
    }
}

template <int N>
struct Width {
    static constexpr int vectors = N;
};

// Calls body with the width of a panel as a constant.
template <class S, class Body>
[[gnu::always_inline]] inline void with_width(int halvings, const Body& body) {
    if (halvings == 0) return body(Width<kPanelWidth>{});
    if (halvings == 1) return body(Width<kPanelWidth / 2>{});
    if (halvings == 2) return body(Width<kPanelWidth / 4>{});
    if constexpr (S::unit == 1) body(Width<kPanelWidth / 8>{});
}

// Calls body(lanes) for a vector of which `rest` elements are there; not at all where none is.
template <class T, class Body>
[[gnu::always_inline]] inline void with_lanes(Index rest, const Body& body) {
    if (rest >= kLanes<T>)
        body(AllLanes{});
    else if (rest > 0)
        body(SomeLanes{static_cast<int>(rest)});
}

// Rows that meet a panel together: their number, how far it is to the next one, their scales (DynamicInt8Storage).
struct TileRows {
    Index count, lda, ld_start, ldc;
    const QuantizedRow* quantized;  // [count]
};

// All columns of a panel: c [rows, columns] = start + a W^T. What one row needs comes in registers.
template <class S>
using Tile = void (*)(const char* panel, const typename S::Operand* a, Index slices, const typename S::Value* start,
                      typename S::Value* c, const TileRows& rows);

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
[[gnu::noinline]] void few_rows_tile(const char* panel, const typename S::Operand* a, Index slices,
                                     const typename S::Value* start, typename S::Value* c, const TileRows& rows) {
    constexpr int kChains = kPanelWidth / V;
    typename S::Sum sums[kChains][R][V] = {};
#pragma GCC unroll 3
    for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
        for (int v = 0; v < V; ++v) {
            if constexpr (S::scaled)
                sums[0][r][v] = S::template first_sum<V>(panel, v, rows.quantized[r]);
            else
                sums[0][r][v] = load(start + r * rows.ld_start + v * kColumns<S>);
        }
    }
    const char* slice = panel + V * kColumns<S> * S::head_bytes;
    const auto step = [&](Index i, int chain) RNNCORE_INLINED {
        typename S::Operand operands[R];
#pragma GCC unroll 3
        for (int r = 0; r < R; ++r) operands[r] = a[r * rows.lda + i];
        S::template multiply_add<fetch, R, V>(slice, operands, sums[chain]);
        slice += V * kColumns<S> * S::slice_bytes;
    };
    Index i = 0;
    constexpr int kRound = kChains > S::round ? kChains : S::round;
    for (; i + kRound <= slices; i += kRound) {
#pragma GCC unroll 8
        for (int u = 0; u < kRound; ++u) step(i + u, u % kChains);
    }
    for (; i < slices; ++i) step(i, 0);
    add_chains<kChains>(sums);
#pragma GCC unroll 3
    for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
        for (int v = 0; v < V; ++v) {
            auto* const to = c + r * rows.ldc + v * kColumns<S>;
            if constexpr (S::scaled)
                store(to, load(start + r * rows.ld_start + v * kColumns<S>) +
                              __builtin_convertvector(sums[0][r][v], Vec<float>) *
                                  S::template factor<V>(panel, v, rows.quantized[r]));
            else
                store(to, sums[0][r][v]);
        }
    }
}

// The last panel where it has more columns than the matrix: computed beside and copied.
template <class S>
[[gnu::noinline]] void edge_tile(Tile<S> run, const char* panel, const typename S::Operand* a, Index slices,
                                 const typename S::Value* start, typename S::Value* c, TileRows rows, Index columns) {
    using Value = typename S::Value;
    constexpr Index kWidth = kPanelWidth * kColumns<S>, kUnit = S::unit * kColumns<S>;
    Value tile[kFewRows * kWidth];
    for (Index r = 0; r < rows.count; ++r) {
        for (Index j = 0; j < (columns + kUnit - 1) / kUnit * kUnit; j += kColumns<S>) {
            Vec<Value> x{};
            with_lanes<Value>(columns - j, [&](auto lanes) { x = lanes.load(start + r * rows.ld_start + j); });
            store(tile + r * kWidth + j, x);
        }
    }
    const Index ldc = rows.ldc;
    rows.ld_start = rows.ldc = kWidth;
    run(panel, a, slices, tile, tile, rows);
    for (Index r = 0; r < rows.count; ++r) {
        for_lanes<Value>(columns,
                         [&](Index j, auto lanes) { lanes.store(c + r * ldc + j, load(tile + r * kWidth + j)); });
    }
}

template <class S, int V>
[[gnu::always_inline]] inline Tile<S> tile_for(Index rows, bool fetch) {
    if constexpr (kFewRows > 1) {
        if (rows == 2) return few_rows_tile<S, 2, V, false>;
        if (rows == 3) return few_rows_tile<S, 3, V, false>;
    }
    return V == kPanelWidth && fetch ? few_rows_tile<S, 1, V, V == kPanelWidth> : few_rows_tile<S, 1, V, false>;
}

// Rows as the product reads them, `stride` operands apart; incomplete where large elements are left out.
template <class S>
struct Operands {
    const typename S::Operand* first;
    Index stride;
    bool complete;
};

template <class S>
Index row_bytes(Index k) {
    return kFewRows * slices_of<S>(k) * S::steps + kVectorBytes / 4;
}

template <class S>
Index few_rows_scratch(Index k) {
    const Index copy = k * static_cast<Index>(sizeof(float));
    return !S::scaled ? 0 : S::steps == 1 ? kFewRows * copy : row_bytes<S>(k) + copy;
}

// Returns the scale of what is left. Out of the way of rows that hold none.
[[gnu::noinline, gnu::cold]] inline float leave_out_large(const float* x, Index n, float* copy) {
    for (Index i = 0; i < n; ++i) copy[i] = is_large(x[i]) ? 0 : x[i];
    return scale_of_row(copy, n);
}

template <class S>
[[gnu::always_inline]] inline Operands<S> operands(const FewRows<typename S::Value>& p, Index row, Index rows,
                                                   QuantizedRow* quantized) {
    const auto* const first = p.a + row * p.lda;
    if constexpr (!S::scaled) {
        return {first, p.lda, true};
    } else if constexpr (S::steps == 1) {
        bool complete = true;
        for (Index r = 0; r < rows; ++r) complete = complete && !holds_large(first + r * p.lda, p.k);
        if (complete) return {first, p.lda, true};
        auto* const copies = static_cast<float*>(p.scratch);
        for (Index r = 0; r < rows; ++r) leave_out_large(first + r * p.lda, p.k, copies + r * p.k);
        return {copies, p.k, false};
    } else {
        typedef unsigned char Bytes __attribute__((vector_size(kVectorBytes / 4)));
        auto* const bytes = static_cast<unsigned char*>(p.scratch);
        const Index stride = S::steps * slices_of<S>(p.k);
        bool complete = true;
        for (Index r = 0; r < rows; ++r) {
            const float* x = first + r * p.lda;
            float scale = scale_of_row(x, p.k);
            if (!(scale <= kLargest / 128)) {
                auto* const copy = reinterpret_cast<float*>(bytes + row_bytes<S>(p.k));
                scale = leave_out_large(x, p.k, copy);
                x = copy;
                complete = false;
            }
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
        return {static_cast<const typename S::Operand*>(p.scratch), slices_of<S>(p.k), complete};
    }
}

// Calls body(lanes, first column, vector of W^T[index, :]) for all columns of W [n, k].
template <class S, class Body>
[[gnu::always_inline]] inline void for_elements(const void* packed, Index k, Index n, Index index, const Body& body) {
    const auto visit = [&](Index first, const char* panel, auto width) {
        constexpr int V = decltype(width)::vectors;
#pragma GCC unroll 8
        for (int v = 0; v < V; ++v) {
            const Index column = first + v * kColumns<S>;
            with_lanes<typename S::Value>(
                n - column, [&](auto lanes) { body(lanes, column, S::template element<V>(panel, index, v)); });
        }
    };
    for_panels<S>(static_cast<const char*>(packed), k, n, false, [&](Index first, int halvings, const char* panel) {
        with_width<S>(halvings, [&](auto width) { visit(first, panel, width); });
    });
}

// c [n] += a [k] W^T for the large elements of a row that `operands` has left out. A weight that is rounded to zero
// adds nothing to a sum, where the weight of a float layer would have made it infinite and never NaN.
template <class S>
[[gnu::noinline, gnu::cold]] void add_large(const float* a, const void* packed, Index k, Index n, float* c) {
    for (Index i = 0; i < k; ++i) {
        if (!is_large(a[i])) continue;
        for_elements<S>(packed, k, n, i, [&](auto lanes, Index column, Vec<float> w) {
            lanes.store(c + column, lanes.load(c + column) + (w != 0 ? splat(a[i]) * w : Vec<float>{}));
        });
    }
}

// Inline, for a step of a small layer calls it two or three times.
template <class S>
[[gnu::always_inline]] inline void few_rows(const FewRows<typename S::Value>& p) {
    using Value = typename S::Value;
    const bool fetch = packed_bytes<S>(p.k, p.n) > kFetchedBytes && !fetches_by_itself();
    for (Index row = 0; row < p.rows; row += kFewRows) {
        const Index count = p.rows - row < kFewRows ? p.rows - row : kFewRows;
        QuantizedRow quantized[kFewRows];
        const Operands<S> a = operands<S>(p, row, count, quantized);
        TileRows rows{count, a.stride, 0, p.ldc, quantized};
        Value* const c = p.c + row * p.ldc;
        const Value* start = kZeros<Value>;
        if (p.init == Init::bias) start = p.bias;
        if (p.init == Init::keep) start = c, rows.ld_start = p.ldc;
        const auto multiply = [&](Index first, int halvings, const char* panel) {
            const Value* const from = p.init == Init::zero ? start : start + first;
            Tile<S> run = nullptr;
            with_width<S>(halvings, [&](auto width) { run = tile_for<S, decltype(width)::vectors>(count, fetch); });
            const Index columns = p.n - first;
            if (columns < kPanelWidth * kColumns<S> >> halvings)
                edge_tile<S>(run, panel, a.first, slices_of<S>(p.k), from, c + first, rows, columns);
            else
                run(panel, a.first, slices_of<S>(p.k), from, c + first, rows);
        };
        for_panels<S>(static_cast<const char*>(p.packed), p.k, p.n, p.from_end, multiply);
        if constexpr (S::scaled) {
            for (Index r = 0; !a.complete && r < count; ++r)
                add_large<S>(p.a + (row + r) * p.lda, p.packed, p.k, p.n, c + r * p.ldc);
        }
    }
}

// c = bias + W[:, index]
template <class S>
void look_up(const FewRows<typename S::Value>& p, Index index) {
    for_elements<S>(p.packed, p.k, p.n, index, [&](auto lanes, Index column, auto w) {
        lanes.store(p.c + column, lanes.load(p.bias + column) + w);
    });
}

template <class S>
void pack_storage(const StoragePacking<typename S::Value>& p) {
    const auto pack = [&](Index first, char* panel, auto width) {
        for (int v = 0; v < width.vectors; ++v) {
            const Index column = first + v * kColumns<S>, rest = p.n - column;
            const int used = rest <= 0            ? 0
                             : rest < kColumns<S> ? static_cast<int>(rest)
                                                  : static_cast<int>(kColumns<S>);
            const Columns<typename S::Value> columns{p.weight + column * p.stride, p.stride, used, p.k};
            S::template pack<width.vectors>(columns, v, panel);
        }
    };
    for_panels<S>(static_cast<char*>(p.packed), p.k, p.n, false, [&](Index first, int halvings, char* panel) {
        with_width<S>(halvings, [&](auto width) { pack(first, panel, width); });
    });
}

}  // namespace rnncore::RNNCORE_ISA
