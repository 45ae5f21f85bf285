// Products of bfloat16 numbers in the matrix registers of AMX. A register holds 16 rows of 64 bytes, here called a square:
// 16 x 16 sums, 16 rows of a by 16 pairs of k, or 16 pairs of k by 16 columns of b. A pass of k over a block of 2 x 2
// squares of c loads four squares for four products, each a sum over 32 steps of k. Squares of a and c may be lower: a
// product takes as long as they have rows.
//
// Values in three parts are multiplied part by part, but for the products that are too small to count: with a = a0 + a1 + a2
// and each part at most 2^-8 of the one before, a b = a0 b0 + (a0 b1 + a1 b0) + (a0 b2 + a1 b1 + a2 b0) to some 2^-25.
#pragma once

#if defined(RNNCORE_AMX)

#include "kernels/outer_product.hpp"
#include "kernels/product.hpp"

namespace rnncore::RNNCORE_ISA {

// The registers are set up, 0 to 3 for sums and 4 and 5 for rows of a with so many rows, 6 and 7 for b, and given back at
// the end: a thread that has none of them in use is cheaper to switch from.
class SquareRegisters {
public:
    explicit SquareRegisters(Index height) {
        const auto h = static_cast<std::uint8_t>(height);
        const struct {
            std::uint8_t palette = 1, start_row = 0, reserved[14] = {};
            std::uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
            std::uint8_t rows[16];
        } setup = {.rows = {h, h, h, h, h, h, kSquare, kSquare}};
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
    Index next;   // to the square beside it
    Index step;   // to the square that follows along k
    Index apart;  // to the same of the next part

    void advance() { first += step; }
};

// Columns [first, first + columns) of some rows of c, in a block of M x N squares of a height, the last ones of which may be
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

// The products that make one of values, as parts of a and of b, in an order in which one of the two stays loaded and the
// largest comes last.
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

// c [M, N squares of a height] = start + a b
template <int M, int N, int parts>
[[gnu::always_inline]] inline void multiply_whole_block(Squares a, Squares b, Index steps, Index height,
                                                        const float* start, Index ld_start, float* c, Index ldc) {
    using Products = PartProducts<parts>;
    const float* const start_below = start + height * ld_start;
    float* const c_below = c + height * ldc;
    ld_start *= sizeof(float);
    ldc *= sizeof(float);
    load_square<0>(start, ld_start);
    if constexpr (N > 1) load_square<1>(start + kSquare, ld_start);
    if constexpr (M > 1) load_square<2>(start_below, ld_start);
    if constexpr (M > 1 && N > 1) load_square<3>(start_below + kSquare, ld_start);
    for (Index i = 0; i < steps; ++i, a.advance(), b.advance()) {
#pragma GCC unroll 6
        for (int p = 0; p < Products::count; ++p) {
            const bool loads_a = p == 0 || Products::a[p] != Products::a[p - 1];
            const bool loads_b = p == 0 || Products::b[p] != Products::b[p - 1];
            const char* const rows = a.first + Products::a[p] * a.apart;
            const char* const columns = b.first + Products::b[p] * b.apart;
            if (loads_a) load_square<4>(rows, a.row);
            if (loads_b) load_square<6>(columns, b.row);
            multiply_add_squares<0, 4, 6>();
            if constexpr (M > 1) {
                if (loads_a) load_square<5>(rows + a.next, a.row);
                multiply_add_squares<2, 5, 6>();
            }
            if constexpr (N > 1) {
                if (loads_b) load_square<7>(columns + b.next, b.row);
                multiply_add_squares<1, 4, 7>();
            }
            if constexpr (M > 1 && N > 1) multiply_add_squares<3, 5, 7>();
        }
    }
    store_square<0>(c, ldc);
    if constexpr (N > 1) store_square<1>(c + kSquare, ldc);
    if constexpr (M > 1) store_square<2>(c_below, ldc);
    if constexpr (M > 1 && N > 1) store_square<3>(c_below + kSquare, ldc);
}

// A block that is used in part, or whose rows stand anywhere, is computed beside and copied.
template <int M, int N, int parts>
[[gnu::noinline]] void multiply_block(const Squares& a, const Squares& b, Index steps, const SquareSums& s) {
    if (s.even && s.row_count == M * s.height && s.columns == N * kSquare) {
        float* const c = s.rows[0] + s.first;
        return multiply_whole_block<M, N, parts>(a, b, steps, s.height, s.start ? s.start : c, s.start ? 0 : s.ldc, c,
                                                 s.ldc);
    }
    constexpr Index kWidth = N * kSquare;
    alignas(kVectorBytes) float sums[M * kSquare * kWidth];
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
    multiply_whole_block<M, N, parts>(a, b, steps, s.height, sums, kWidth, sums, kWidth);
    for_values([&](const float* sum, float* c, Index, auto lanes) { lanes.store(c, lanes.load(sum)); });
}

inline constexpr int kBlockSide = 2 * kSquare;

// Squares of rows in a block. Values in parts have products enough for one to do; and a core has so few matrix registers that
// two threads which share it and use more than five each wait for them: with two squares, a product takes 6 % less time where
// the other thread is idle, but 60 % more where it is busy. Measured.
template <int parts>
inline constexpr int kRowSquares = parts > 1 ? 1 : 2;

template <int parts>
[[gnu::always_inline]] inline void multiply_block(const Squares& a, const Squares& b, Index steps,
                                                  const SquareSums& s) {
    constexpr int M = kRowSquares<parts>;
    const bool two_columns = s.columns > kSquare;
    const auto run = s.row_count > s.height ? (two_columns ? multiply_block<M, 2, parts> : multiply_block<M, 1, parts>)
                                            : (two_columns ? multiply_block<1, 2, parts> : multiply_block<1, 1, parts>);
    run(a, b, steps, s);
}

// The squares in which some rows stand, all blocks of them full but where there is one square only, and their height. They
// are as equal as can be.
template <int parts>
[[gnu::always_inline]] inline Index squares_for(Index rows) {
    constexpr Index kSquares = kRowSquares<parts>;
    return rows <= kSquare ? 1 : (rows + kSquares * kSquare - 1) / (kSquares * kSquare) * kSquares;
}
template <int parts>
[[gnu::always_inline]] inline Index square_height(Index rows) {
    const Index squares = squares_for<parts>(rows);
    return (rows + squares - 1) / squares;
}

// A panel of b, from its element `first` of k on.
template <int parts>
[[gnu::always_inline]] inline Squares squares_of_panel(const Bfloat16Pair* panel, Index first, Index columns) {
    const Index width = panel_vectors<Bfloat16Pair>(columns) * kSquare;
    const Index row = width * static_cast<Index>(sizeof(Bfloat16Pair));
    return {reinterpret_cast<const char*>(panel + first * parts * width), row, kSquareBytes, parts * kSquare * row,
            kSquare * row};
}

// The squares of rows of a, which follow each other along k.
template <int parts>
[[gnu::always_inline]] inline Squares squares_of_rows(const Bfloat16Pair* rows, Index depth) {
    return {reinterpret_cast<const char*>(rows), kSquareBytes, parts * depth * kSquareBytes,
            parts * kSquare * kSquareBytes, kSquare * kSquareBytes};
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

// As multiply_panels. Where so many rows pass over a panel that the processor does not foresee which lines of c come next,
// they are fetched.
template <int parts>
void multiply_squares(const Product<float, Bfloat16Pair>& p, const SquareRows& rows, const Steps& steps, bool fetches) {
    static_assert(kBlockSide == kPanel<Bfloat16Pair>);
    const SquareRegisters registers(rows.height);
    const Init init = steps.first == 0 ? p.init : Init::keep;
    const Index most = kRowSquares<parts> * rows.height;
    for (Index first = 0; first < p.n; first += kBlockSide) {
        const Index columns = p.n - first < kBlockSide ? p.n - first : kBlockSide;
        const Squares b = squares_of_panel<parts>(p.packed + first * parts * p.k, steps.first, columns);
        const float* const start = init == Init::keep ? nullptr : init == Init::bias ? p.bias + first : kZeros<float>;
        const Bfloat16Pair* a = rows.a;
        for (Index row = 0; row < rows.count; row += most, a += kRowSquares<parts> * kSquare * parts * p.lda) {
            const Index count = rows.count - row < most ? rows.count - row : most;
            for (Index r = 0; fetches && r < count; ++r)
                fetch_tile<float, 1, 2>(rows.c[row + r] + first + kBlockSide, 0);
            multiply_block<parts>(
                squares_of_rows<parts>(a, p.lda), b, steps.count / kSquare,
                {rows.c + row, count, p.ldc, start, first, columns, rows.height, rows.even(row, count, p.ldc)});
        }
    }
}

// As OuterTiles: rows of a in squares of rows by pairs of k, all squares along k of 16 rows, then those of the next 16.
template <class F>
class OuterSquares {
public:
    using E = typename F::Element;
    static constexpr Index rows = kBlockSide;
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
        for (Index column = 0; column < n; column += kBlockSide) {
            const Index columns = n - column < kBlockSide ? n - column : kBlockSide;
            const Squares b = squares_of_panel<F::parts>(panels + column * F::parts * depth, 0, columns);
            for (Index row = 0; row < m; row += kRows) {
                multiply_block<F::parts>(
                    squares_of_rows<F::parts>(a + row * F::parts * depth, depth), b, depth / kSquare,
                    {c_rows + row, m - row < kRows ? m - row : kRows, ldc, nullptr, column, columns, kSquare, true});
            }
        }
    }

private:
    static constexpr Index kRows = kRowSquares<F::parts> * kSquare;

    SquareRegisters registers_{kSquare};
};

}  // namespace rnncore::RNNCORE_ISA

#endif
