// Matrix products: panels of b pass over groups of rows, tile by tile.
#pragma once

#include "kernels/tiles.hpp"

namespace rnncore::RNNCORE_ISA {

// The rows of a block in tiles of nearly equal height: 20 rows are 10 + 10, not 12 + 8.
template <class T, class E, class Run>
[[gnu::always_inline]] inline void for_row_tiles(const RowBlock<T, E>& block, const Product<T, E>& p, const Run& run) {
    const Index tiles = (block.rows + kTileRows - 1) / kTileRows;
    Index row = 0;
    for (Index i = 0; i < tiles; ++i) {
        const Index next = block.rows * (i + 1) / tiles;
        run(next - row, block.a + row * p.lda, block.c + row * p.ldc, i + 1 < tiles ? block.c + next * p.ldc : nullptr);
        row = next;
    }
}

// Elements [first, first + count) of k, which stand at a[.., in_rows] of every row.
struct Steps {
    Index first, count, in_rows;
};

// A larger b is read from beyond the L2 cache. The processor prefetches there, but not early enough.
inline constexpr Index kFarBytes = Index{2} << 20;

template <class T, class E>
[[gnu::always_inline]] inline Index row_tiles(const Product<T, E>& p) {
    Index tiles = 0;
    for (Index i = 0; i < p.block_count; ++i) tiles += (p.blocks[i].rows + kTileRows - 1) / kTileRows;
    return tiles;
}

// Every panel of b, or several at once where there are few rows, with all row tiles.
template <class T, class E>
void multiply_panels(const Product<T, E>& p, const Steps& steps) {
    const bool single = p.block_count == 1 && p.blocks[0].rows <= kGroupedRows;
    const bool far = !single && p.k * p.n * static_cast<Index>(sizeof(E)) > kFarBytes && !fetches_by_itself();
    const Index rounds_of_tile = (steps.count + kFetchedSteps - 1) / kFetchedSteps;
    const Index rounds = row_tiles(p) * rounds_of_tile;
    const Index group = single ? grouped_panels(p.blocks[0].rows) : 1;
    const Index grouped = group > 1 ? p.n - p.n % (group * kPanel<E>) : 0;
    const auto columns_at = [&](Index taken) {
        const Index rest = p.n - taken;
        return taken < grouped ? group * kPanel<E> : rest < kPanel<E> ? rest : kPanel<E>;
    };
    const auto first_at = [&](Index taken) {
        return p.from_end && taken < grouped ? grouped - taken - columns_at(taken) : taken;
    };
    for (Index taken = 0, columns; taken < p.n; taken += columns) {
        const Index rest = p.n - taken, first = first_at(taken);
        const bool several = taken < grouped;
        columns = columns_at(taken);
        const Index width = columns <= kLanes<E> ? kLanes<E> : kPanel<E>;
        TileTask<E> task{};
        task.lda = p.lda;
        task.b = p.packed + first * p.k + steps.first * width;
        task.panel_stride = kPanel<E> * p.k;
        const Init init = steps.first == 0 ? p.init : Init::keep;
        task.start = init == Init::bias ? p.bias + first : kZeros<T>;
        task.ld_start = init == Init::keep ? p.ldc : 0;
        task.ldc = p.ldc;
        task.k = steps.count;
        task.last_columns = columns_of_last_vector<E>(columns);
        // the next panel, by all tiles of this one in equal parts
        constexpr Index kLine = kLineBytes / static_cast<Index>(sizeof(E));
        const E* end_of_next = nullptr;
        if (far && columns < rest) {
            const Index next_width = rest - columns <= kLanes<E> ? kLanes<E> : kPanel<E>;
            task.next_b = p.packed + (first + columns) * p.k + steps.first * next_width;
            end_of_next = task.next_b + steps.count * next_width;
            task.fetched = (steps.count * next_width / kLine + rounds - 1) / rounds;
        }
        const auto run = [&](auto tile_of) {
            for (Index i = 0; i < p.block_count; ++i) {
                // the first tile of the next block, or else of the next panel
                const T* const after =
                    i + 1 < p.block_count ? p.blocks[i + 1].c : p.blocks[0].c + first_at(taken + columns) - first;
                for_row_tiles(p.blocks[i], p, [&](Index rows, const E* a, T* c, const T* next) {
                    task.a = a + steps.in_rows;
                    task.c = c + first;
                    if (init == Init::keep) task.start = task.c;
                    task.next_c = (next ? next : after) + first;
                    tile_of(rows)(task);
                    task.next_b += rounds_of_tile * task.fetched * kLine;
                    if (task.next_b >= end_of_next) task.fetched = 0;
                });
            }
        };
        if (several)
            run([](Index rows) { return several_panels<E>(rows); });
        else
            with_tiles<E>(columns, [&](auto tiles) {
                run([=](Index rows) { return (far ? tiles.far : tiles.product)[rows - 1]; });
            });
    }
}

// Rows over which the panels of b pass: enough for a panel to be read from far away meanwhile, few enough to stay in
// the L2 cache, to the depth below. Measured with 2 MB of it.
inline constexpr Index kGroupRows = 96;
// To this depth at once, so that even of a deep product many rows share a pass over b, which comes from far away.
inline constexpr Index kProductDepth = 1024;

// What a product over a k of 0 leaves in c.
template <class T>
void initialise(const Product<T>& p) {
    if (p.init == Init::keep) return;
    for (Index i = 0; i < p.block_count; ++i) {
        for (Index row = 0; row < p.blocks[i].rows; ++row) {
            T* const c = p.blocks[i].c + row * p.ldc;
            for (Index j = 0; j < p.n; ++j) c[j] = p.init == Init::bias ? p.bias[j] : T{};
        }
    }
}

template <class T>
void product(const Product<T>& p) {
    if (p.k == 0) return initialise(p);
    Product<T> part = p;
    const bool few = p.block_count == 1 && p.blocks[0].rows <= kGroupedRows;
    const Index depth = few ? p.k : kProductDepth;  // b is read once in any case
    const auto multiply = [&](const RowBlock<T>* blocks, Index count) {
        part.blocks = blocks;
        part.block_count = count;
        for (Index k = 0; k < p.k; k += depth) multiply_panels(part, {k, p.k - k < depth ? p.k - k : depth, k});
    };
    for (Index i = 0; i < p.block_count;) {
        const RowBlock<T>& block = p.blocks[i];
        Index count = 1;
        if (block.rows > kGroupRows) {
            const Index groups = (block.rows + kGroupRows - 1) / kGroupRows;
            for (Index group = 0, row = 0, next; group < groups; ++group, row = next) {
                next = block.rows * (group + 1) / groups;
                const RowBlock<T> piece{block.a + row * p.lda, block.c + row * p.ldc, next - row};
                multiply(&piece, 1);
            }
        } else {
            for (Index rows = block.rows; i + count < p.block_count; ++count) {
                rows += p.blocks[i + count].rows;
                if (rows > kGroupRows) break;
            }
            multiply(&block, count);
        }
        i += count;
    }
}

}  // namespace rnncore::RNNCORE_ISA
