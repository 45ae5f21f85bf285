// Products of bfloat16 numbers in the matrix registers of AMX. A register holds 16 rows of 64 bytes, here called a square:
// 16 x 16 sums, 16 rows of a by 16 pairs of k, or 16 pairs of k by 16 columns of b. A pass of k over a block of 2 x 2
// squares of c loads four squares for four products, each a sum over 32 steps of k.
#pragma once

#if defined(RNNCORE_AMX)

#include "kernels/outer_product.hpp"
#include "kernels/product.hpp"

namespace rnncore::RNNCORE_ISA {

// The registers are set up, each as a whole square, and given back at the end: a thread that has none of them in use is
// cheaper to switch from.
class SquareRegisters {
public:
    SquareRegisters() {
        struct {
            std::uint8_t palette = 1, start_row = 0, reserved[14] = {};
            std::uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
            std::uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
        } setup;
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

// The squares of an operand; distances in bytes.
struct Squares {
    const char* first;
    Index row;   // from one row of a square to the next
    Index next;  // to the square beside it
    Index step;  // to the square that follows along k

    const char* at(Index i) const { return first + i * step; }
};

// c and what its sums start from: [rows, columns] of a block of M x N squares, the last ones of which may be used in part.
struct SquareSums {
    const float* start;
    Index ld_start;
    float* c;
    Index ldc;
    Index rows, columns;
};

// The addresses are computed anew at every step: with pointers that move along, weight gradients took longer. Measured.
template <int M, int N>
[[gnu::always_inline]] inline void multiply_whole_block(const Squares& a, const Squares& b, Index steps,
                                                        const SquareSums& s) {
    constexpr Index kBytes = sizeof(float);
    const Index ld_start = s.ld_start * kBytes, ldc = s.ldc * kBytes;
    const float* const start = s.start + kSquare * s.ld_start;
    load_square<0>(s.start, ld_start);
    if constexpr (N > 1) load_square<1>(s.start + kSquare, ld_start);
    if constexpr (M > 1) load_square<2>(start, ld_start);
    if constexpr (M > 1 && N > 1) load_square<3>(start + kSquare, ld_start);
    for (Index i = 0; i < steps; ++i) {
        load_square<4>(a.at(i), a.row);
        load_square<6>(b.at(i), b.row);
        multiply_add_squares<0, 4, 6>();
        if constexpr (M > 1) {
            load_square<5>(a.at(i) + a.next, a.row);
            multiply_add_squares<2, 5, 6>();
        }
        if constexpr (N > 1) {
            load_square<7>(b.at(i) + b.next, b.row);
            multiply_add_squares<1, 4, 7>();
        }
        if constexpr (M > 1 && N > 1) multiply_add_squares<3, 5, 7>();
    }
    float* const c = s.c + kSquare * s.ldc;
    store_square<0>(s.c, ldc);
    if constexpr (N > 1) store_square<1>(s.c + kSquare, ldc);
    if constexpr (M > 1) store_square<2>(c, ldc);
    if constexpr (M > 1 && N > 1) store_square<3>(c + kSquare, ldc);
}

// A block that is used in part is computed beside and copied.
template <int M, int N>
[[gnu::noinline]] void multiply_block(const Squares& a, const Squares& b, Index steps, const SquareSums& s) {
    if (s.rows == M * kSquare && s.columns == N * kSquare) return multiply_whole_block<M, N>(a, b, steps, s);
    constexpr Index kWidth = N * kSquare;
    alignas(kVectorBytes) float sums[M * kSquare * kWidth];
    for (Index row = 0; row < s.rows; ++row) {
        for_lanes<float>(s.columns, [&](Index j, auto lanes) {
            lanes.store(sums + row * kWidth + j, lanes.load(s.start + row * s.ld_start + j));
        });
    }
    multiply_whole_block<M, N>(a, b, steps, {sums, kWidth, sums, kWidth, s.rows, s.columns});
    for (Index row = 0; row < s.rows; ++row) {
        for_lanes<float>(s.columns, [&](Index j, auto lanes) {
            lanes.store(s.c + row * s.ldc + j, lanes.load(sums + row * kWidth + j));
        });
    }
}

inline constexpr int kBlockSide = 2 * kSquare;

[[gnu::always_inline]] inline void multiply_block(const Squares& a, const Squares& b, Index steps,
                                                  const SquareSums& s) {
    const auto run = s.rows > kSquare ? (s.columns > kSquare ? multiply_block<2, 2> : multiply_block<2, 1>)
                                      : (s.columns > kSquare ? multiply_block<1, 2> : multiply_block<1, 1>);
    run(a, b, steps, s);
}

// A panel of b, from its element `first` of k on.
[[gnu::always_inline]] inline Squares squares_of_panel(const Bfloat16Pair* panel, Index first, Index columns) {
    constexpr Index kBytes = sizeof(Bfloat16Pair);
    const Index width = panel_vectors<Bfloat16Pair>(columns) * kSquare;
    return {reinterpret_cast<const char*>(panel + first * width), width * kBytes, kSquare * kBytes,
            kSquare * width * kBytes};
}

// The squares of rows of a, which follow each other along k.
[[gnu::always_inline]] inline Squares squares_of_rows(const Bfloat16Pair* rows, Index depth) {
    constexpr Index kBytes = sizeof(Bfloat16Pair);
    return {reinterpret_cast<const char*>(rows), kSquare * kBytes, kSquare * depth * kBytes,
            kSquare * kSquare * kBytes};
}

// As multiply_panels, with the rows of a in squares. Where so many rows pass over a panel that the processor does not
// foresee which lines of c come next, they are fetched.
inline void multiply_squares(const Product<float, Bfloat16Pair>& p, const Steps& steps, bool fetches) {
    static_assert(kBlockSide == kPanel<Bfloat16Pair>);
    const SquareRegisters registers;
    const Init init = steps.first == 0 ? p.init : Init::keep;
    for (Index first = 0; first < p.n; first += kBlockSide) {
        const Index columns = p.n - first < kBlockSide ? p.n - first : kBlockSide;
        const Squares b = squares_of_panel(p.packed + first * p.k, steps.first, columns);
        for (Index i = 0; i < p.block_count; ++i) {
            const RowBlock<float, Bfloat16Pair>& block = p.blocks[i];
            for (Index row = 0; row < block.rows; row += kBlockSide) {
                float* const c = block.c + row * p.ldc + first;
                const Index rows = block.rows - row < kBlockSide ? block.rows - row : kBlockSide;
                for (Index r = 0; fetches && r < rows; ++r) fetch_tile<float, 1, 2>(c + r * p.ldc + kBlockSide, 0);
                multiply_block(squares_of_rows(block.a + row * p.lda, p.lda), b, steps.count / kSquare,
                               {init == Init::keep   ? c
                                : init == Init::bias ? p.bias + first
                                                     : kZeros<float>,
                                init == Init::keep ? p.ldc : 0, c, p.ldc, rows, columns});
            }
        }
    }
}

// As OuterTiles: rows of a in squares of rows by pairs of k, all squares along k of 16 rows, then those of the next 16.
template <class F>
class OuterSquares {
public:
    using E = typename F::Element;
    static constexpr Index rows = kBlockSide;
    static_assert(rows * kDepth<E> <= kPackedTogether * kTileElements<E>,
                  "there is room in the scratch of outer_product");

    static void pack(const float* a, Index lda, Index k, Index m, E* packed) {
        const Index depth = elements<F>(k);
        for_lanes<float>(m, [&](Index column, auto lanes) {
            E* const squares = packed + column * depth;
            for (Index i = 0; i < depth; i += kSquare) {
                Vec<E> square[kSquare];
#pragma GCC unroll 16
                for (int j = 0; j < kSquare; ++j) {
                    const Index step = (i + j) * F::steps;
                    const float* const row = a + step * lda + column;
                    square[j] = step < k ? F::across(row, step + 1 < k ? row + lda : nullptr, lanes) : Vec<E>{};
                }
                transpose<E>(square);
#pragma GCC unroll 16
                for (int j = 0; j < kSquare; ++j) store(squares + (i + j) * kSquare, square[j]);
            }
        });
    }

    static void multiply(const E* a, const E* panels, Index depth, Index m, Index n, float* c, Index ldc) {
        for (Index column = 0; column < n; column += kBlockSide) {
            const Index columns = n - column < kBlockSide ? n - column : kBlockSide;
            multiply_block(squares_of_rows(a, depth), squares_of_panel(panels + column * depth, 0, columns),
                           depth / kSquare, {c + column, ldc, c + column, ldc, m, columns});
        }
    }

private:
    SquareRegisters registers_;
};

}  // namespace rnncore::RNNCORE_ISA

#endif
