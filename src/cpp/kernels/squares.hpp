// Products of bfloat16 numbers in the matrix registers of AMX. A register holds 16 rows of 64 bytes, here called a
// square: 16 x 16 sums, 16 rows of a by 16 pairs of k, or 16 pairs of k by 16 columns of b. A pass of k over a block of
// c, two squares side by side, loads three squares for two products, each a sum over 32 steps of k. Blocks of two by
// two would load four for four and take some 5 to 15 % less time; but a core has few matrix registers, and where
// another thread shares it, those eight are too many: they would take 40 to 70 % more. Measured. Squares of a and c may
// be lower: a product takes as long as they have rows.
//
// Values in three parts are multiplied part by part, but for the products that are too small to count: with a = a0 + a1
// + a2, a1 at most 2^-8 and a2 2^-17 of a, a b = a0 b0 + (a0 b1 + a1 b0) + (a0 b2 + a1 b1 + a2 b0) to 2^-24 at most, as
// exact as one rounding. Where that last sum would overflow by a 256th part, the first may.
#pragma once

#if defined(RNNCORE_AMX)

#include "kernels/outer_product.hpp"
#include "kernels/product.hpp"

namespace rnncore::RNNCORE_ISA {

// The registers are set up, 0 and 1 for sums and 2 for a with `height` rows, 3 and 4 for b with all, and given back at
// the end: a thread that has none of them in use is cheaper to switch from.
class SquareRegisters {
public:
    explicit SquareRegisters(Index height) {
        const auto h = static_cast<std::uint8_t>(height);
        const struct {
            std::uint8_t palette = 1, start_row = 0, reserved[14] = {};
            std::uint16_t row_bytes[16] = {64, 64, 64, 64, 64};
            std::uint8_t rows[16];
        } setup = {.rows = {h, h, h, kSquare, kSquare}};
        asm volatile("ldtilecfg %0" ::"m"(setup));
    }
    ~SquareRegisters() { asm volatile("tilerelease" ::: "memory"); }
    SquareRegisters(const SquareRegisters&) = delete;
    SquareRegisters& operator=(const SquareRegisters&) = delete;
};

// The intrinsics of g++ 12 do not say that loads read memory. Strides are in bytes.
template <int square>
[[gnu::always_inline]] inline void load_square(const void* p, Index stride) {
    asm volatile("tileloadd (%0,%1,1), %%tmm%c2" ::"r"(p), "r"(stride), "i"(square) : "memory");
}

template <int square>
[[gnu::always_inline]] inline void store_square(void* p, Index stride) {
    asm volatile("tilestored %%tmm%c2, (%0,%1,1)" ::"r"(p), "r"(stride), "i"(square) : "memory");
}

template <int sum, int a, int b>
[[gnu::always_inline]] inline void multiply_add_squares() {
    asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(sum), "i"(a), "i"(b));
}

inline constexpr Index kSquareBytes = 64;  // of a row

// The squares of an operand; distances in bytes.
struct Squares {
    const char* first;
    Index row;    // from one row of a square to the next
    Index step;   // to the square that follows along k
    Index apart;  // to the same of the next part

    void advance() { first += step; }
};

// Columns [first, first + columns) of some rows of c, in a block of squares of a height, the last ones of which may be
// used in part.
struct SquareSums {
    float* const* rows;
    Index row_count;
    Index ldc;           // from each row to the next, if `even`: else they stand anywhere
    const float* start;  // the columns of one row for all; null: what stands in c
    Index first, columns;
    Index height;
    bool even;
};

// The products that make one of values, as parts of a and of b, in an order in which one of the two stays loaded and
// the largest comes last. The last part of each is among them: of a NaN it alone is certain to be one.
template <int parts>
struct PartProducts;
template <>
struct PartProducts<1> {
    static constexpr int count = 1;
    static constexpr int a[] = {0}, b[] = {0};
};
template <>
struct PartProducts<3> {
    static constexpr int count = 6;
    static constexpr int a[] = {2, 1, 1, 0, 0, 0}, b[] = {0, 0, 1, 1, 2, 0};
};

// c [one square of rows, N of columns] = start + a b
template <int N, int parts>
[[gnu::always_inline]] inline void multiply_whole_block(Squares a, Squares b, Index steps, const float* start,
                                                        Index ld_start, float* c, Index ldc) {
    using Products = PartProducts<parts>;
    ld_start *= sizeof(float);
    ldc *= sizeof(float);
    load_square<0>(start, ld_start);
    if constexpr (N > 1) load_square<1>(start + kSquare, ld_start);
    for (Index i = 0; i < steps; ++i, a.advance(), b.advance()) {
#pragma GCC unroll 6
        for (int p = 0; p < Products::count; ++p) {
            const bool loads_a = p == 0 || Products::a[p] != Products::a[p - 1];
            const bool loads_b = p == 0 || Products::b[p] != Products::b[p - 1];
            const char* const columns = b.first + Products::b[p] * b.apart;
            if (loads_a) load_square<2>(a.first + Products::a[p] * a.apart, a.row);
            if (loads_b) load_square<3>(columns, b.row);
            multiply_add_squares<0, 2, 3>();
            if constexpr (N > 1) {
                if (loads_b) load_square<4>(columns + kSquareBytes, b.row);
                multiply_add_squares<1, 2, 4>();
            }
        }
    }
    store_square<0>(c, ldc);
    if constexpr (N > 1) store_square<1>(c + kSquare, ldc);
}

// A block that is used in part, or whose rows stand anywhere, is computed beside and copied.
template <int N, int parts>
[[gnu::noinline]] void multiply_block(const Squares& a, const Squares& b, Index steps, const SquareSums& s) {
    if (s.even && s.row_count == s.height && s.columns == N * kSquare) {
        float* const c = s.rows[0] + s.first;
        return multiply_whole_block<N, parts>(a, b, steps, s.start ? s.start : c, s.start ? 0 : s.ldc, c, s.ldc);
    }
    constexpr Index kWidth = N * kSquare;
    alignas(kVectorBytes) float sums[kSquare * kWidth];
    const auto for_values = [&](const auto& run) {
        for (Index row = 0; row < s.row_count; ++row) {
            for_lanes<float>(s.columns, [&](Index j, auto lanes) {
                run(sums + row * kWidth + j, s.rows[row] + s.first + j, j, lanes);
            });
        }
    };
    for_values([&](float* sum, const float* c, Index j, auto lanes) {
        lanes.store(sum, lanes.load(s.start ? s.start + j : c));
    });
    multiply_whole_block<N, parts>(a, b, steps, sums, kWidth, sums, kWidth);
    for_values([&](const float* sum, float* c, Index, auto lanes) { lanes.store(c, lanes.load(sum)); });
}

inline constexpr int kBlockColumns = 2 * kSquare;

template <int parts>
[[gnu::always_inline]] inline void multiply_block(const Squares& a, const Squares& b, Index steps,
                                                  const SquareSums& s) {
    (s.columns > kSquare ? multiply_block<2, parts> : multiply_block<1, parts>)(a, b, steps, s);
}

// The squares in which some rows stand, and their height: as equal as can be.
[[gnu::always_inline]] inline Index squares_for(Index rows) { return (rows + kSquare - 1) / kSquare; }
[[gnu::always_inline]] inline Index square_height(Index rows) {
    const Index squares = squares_for(rows);
    return (rows + squares - 1) / squares;
}

// A panel of b, from its element `first` of k on.
template <int parts>
[[gnu::always_inline]] inline Squares squares_of_panel(const Bfloat16Pair* panel, Index first, Index columns) {
    const Index width = panel_vectors<Bfloat16Pair>(columns) * kSquare;
    const Index row = width * static_cast<Index>(sizeof(Bfloat16Pair));
    return {reinterpret_cast<const char*>(panel + first * parts * width), row, parts * kSquare * row, kSquare * row};
}

// A square of rows of a, and those that follow it along k.
template <int parts>
[[gnu::always_inline]] inline Squares squares_of_rows(const Bfloat16Pair* rows) {
    return {reinterpret_cast<const char*>(rows), kSquareBytes, parts * kSquare * kSquareBytes, kSquare * kSquareBytes};
}

// Rows of a in squares of a height, and where their products go.
struct SquareRows {
    const Bfloat16Pair* a;
    float* const* c;
    Index count, height;

    bool even(Index first, Index rows, Index ldc) const {
        for (Index r = first + 1; r < first + rows; ++r) {
            if (c[r] - c[r - 1] != ldc) return false;
        }
        return true;
    }
};

// As multiply_panels. So many rows may pass over a panel that the processor does not foresee that their lines of c
// beside it come next: they are fetched.
template <int parts>
void multiply_squares(const Product<float, Bfloat16Pair>& p, const SquareRows& rows, const Steps& steps) {
    static_assert(kBlockColumns == kPanel<Bfloat16Pair>);
    const SquareRegisters registers(rows.height);
    const Init init = steps.first == 0 ? p.init : Init::keep;
    for (Index first = 0; first < p.n; first += kBlockColumns) {
        const Index columns = p.n - first < kBlockColumns ? p.n - first : kBlockColumns;
        const Squares b = squares_of_panel<parts>(p.packed + first * parts * p.k, steps.first, columns);
        const float* const start = init == Init::keep ? nullptr : init == Init::bias ? p.bias + first : kZeros<float>;
        const Bfloat16Pair* a = rows.a;
        for (Index row = 0; row < rows.count; row += rows.height, a += kSquare * parts * p.lda) {
            const Index count = rows.count - row < rows.height ? rows.count - row : rows.height;
            const Index fetched = first + columns < p.n ? count : 0;
            for (Index r = 0; r < fetched; ++r) fetch_tile<float, 1, 2>(rows.c[row + r] + first + kBlockColumns, 0);
            multiply_block<parts>(
                squares_of_rows<parts>(a), b, steps.count / kSquare,
                {rows.c + row, count, p.ldc, start, first, columns, rows.height, rows.even(row, count, p.ldc)});
        }
    }
}

// As OuterTiles: rows of a in squares of rows by pairs of k, all squares along k of 16 rows, then those of the next 16.
template <class F>
class OuterSquares {
public:
    using E = typename F::Element;
    static constexpr Index rows = 2 * kSquare;
    static_assert(rows * kDepth<F> <= kPackedTogether * kTileElements<F>,
                  "there is room in the scratch of outer_product");

    static void pack(const float* a, Index lda, Index k, Index m, E* packed) {
        const Index depth = elements<F>(k);
        for_lanes<float>(m, [&](Index column, auto lanes) {
            const auto row = [&](Index step) { return step < k ? a + step * lda + column : nullptr; };
            E* const to = packed + column * F::parts * depth;
            for (Index i = 0; i < depth; i += kSquare) {
                typename F::Loaded square[kSquare];
#pragma GCC unroll 16
                for (int j = 0; j < kSquare; ++j) {
                    const float* const first = row(F::step(i + j, 0));
                    square[j] = first ? F::across(first, row(F::step(i + j, 1)), lanes) : typename F::Loaded{};
                }
                transpose<E>(square);
#pragma GCC unroll 16
                for (int j = 0; j < kSquare; ++j)
                    store(to + (place<F>(i) + j) * kSquare, F::split(square[j]), F::unit * kSquare);
            }
        });
    }

    static void multiply(const E* a, const E* panels, Index depth, Index m, Index n, float* c, Index ldc) {
        float* c_rows[rows];
        for (Index row = 0; row < m; ++row) c_rows[row] = c + row * ldc;
        for (Index column = 0; column < n; column += kBlockColumns) {
            const Index columns = n - column < kBlockColumns ? n - column : kBlockColumns;
            const Squares b = squares_of_panel<F::parts>(panels + column * F::parts * depth, 0, columns);
            for (Index row = 0; row < m; row += kSquare) {
                multiply_block<F::parts>(squares_of_rows<F::parts>(a + row * F::parts * depth), b, depth / kSquare,
                                         {c_rows + row, m - row < kSquare ? m - row : kSquare, ldc, nullptr, column,
                                          columns, kSquare, true});
            }
        }
    }

private:
    SquareRegisters registers_{kSquare};
};

}  // namespace rnncore::RNNCORE_ISA

#endif
