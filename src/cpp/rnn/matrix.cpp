#include "rnn/matrix.hpp"

#include <algorithm>

namespace rnncore {

template <class T>
PackedMatrix<T>::PackedMatrix(Arena& arena, const Kernels<T>& kernels, const Packing<T>& packing)
    : kernels_(&kernels),
      packing_(packing),
      packed_(arena.reserve<T>(static_cast<std::size_t>(packed_size(kernels, packing.k, packing.n)))) {}

template <class T>
PackedMatrix<T> PackedMatrix<T>::of(Arena& arena, const Kernels<T>& kernels, const Matrix<const T>& b) {
    return {arena, kernels, {b.data, b.stride, 1, b.rows, b.columns, nullptr}};
}

template <class T>
PackedMatrix<T> PackedMatrix<T>::transpose_of(Arena& arena, const Kernels<T>& kernels, const Matrix<const T>& b) {
    return {arena, kernels, {b.data, 1, b.stride, b.columns, b.rows, nullptr}};
}

// Panels of tile_columns columns follow each other at tile_columns * packed_depth elements.
template <class T>
void PackedMatrix<T>::fill(const Arena& arena, const Worker& worker) const {
    const Range columns = worker.share(packing_.n, kernels_->tile_columns);
    Packing<T> part = packing_;
    part.source += columns.first * packing_.stride_n;
    part.n = columns.last - columns.first;
    part.packed = packed_.in(arena) + columns.first * packed_depth(*kernels_, packing_.k);
    kernels_->pack(part);
}

template <class T>
void PackedMatrix<T>::multiply(const Arena& arena, const Matrix<const T>& a, const T* bias, const Matrix<T>& c,
                               Range columns, const Worker& worker) const {
    const Matrix<T> part{c.data + columns.first, c.rows, columns.last - columns.first, c.stride};
    multiply_part(arena, a, bias, part, columns, worker);
}

template <class T>
void PackedMatrix<T>::multiply_part(const Arena& arena, const Matrix<const T>& a, const T* bias, const Matrix<T>& c,
                                    Range columns, const Worker& worker) const {
    const RowBlock<T> block{a.data, c.data, a.rows};
    kernels_->product({&block, 1, a.stride, c.stride,
                       packed_.in(arena) + columns.first * packed_depth(*kernels_, packing_.k),
                       bias ? bias + columns.first : nullptr, packing_.k, columns.last - columns.first,
                       bias ? Init::bias : Init::zero, false, worker.scratch});
}

template <class T>
void PackedMatrix<T>::add(const Arena& arena, const Matrix<const T>& a, const Matrix<T>& c, bool from_end,
                          void* scratch) const {
    const RowBlock<T> block{a.data, c.data, a.rows};
    kernels_->product({&block, 1, a.stride, c.stride, packed_.in(arena), nullptr, packing_.k, packing_.n, Init::keep,
                       from_end, scratch});
}

template <class T>
OuterSum<T>::OuterSum(Arena& arena, const Kernels<T>& kernels, int threads)
    : kernels_(&kernels),
      scratch_(arena.reserve<T>(static_cast<std::size_t>(threads * kernels.outer_scratch))),
      rows_(arena.reserve<const T*>(static_cast<std::size_t>(threads * kBlockRows))) {}

template <class T>
void OuterSum<T>::add(const Arena& arena, const Matrix<const T>& a, const Matrix<const T>& b, T* c,
                      const Worker& worker) const {
    // along the longer side, where equal shares are more nearly equal
    const bool by_rows = a.columns >= b.columns;
    const Range m = by_rows ? worker.share(a.columns, kernels_->tile_rows) : Range{0, a.columns};
    const Range n = by_rows ? Range{0, b.columns} : worker.share(b.columns, kernels_->tile_columns);
    const T** const rows = rows_.in(arena) + worker.thread * kBlockRows;
    for (Index first = 0; first < a.rows && !worker.stopped(); first += kBlockRows) {
        const Index k = std::min(kBlockRows, a.rows - first);
        for (Index i = 0; i < k; ++i) rows[i] = b.row(first + i) + n.first;
        kernels_->outer_product({a.row(first) + m.first, a.stride, rows, c + m.first * b.columns + n.first, b.columns,
                                 k, m.last - m.first, n.last - n.first,
                                 scratch_.in(arena) + worker.thread * kernels_->outer_scratch});
        worker.poll();
    }
}

template <class T>
void add_column_sums(const Kernels<T>& kernels, const Matrix<const T>& a, T* sums, const Worker& worker) {
    const Range columns = worker.share(a.columns, kernels.lanes);
    for (Index first = 0; first < a.rows && !worker.stopped(); first += kBlockRows) {
        kernels.add_column_sums(a.row(first) + columns.first, std::min(kBlockRows, a.rows - first),
                                columns.last - columns.first, a.stride, sums + columns.first);
        worker.poll();
    }
}

#define RNNCORE_INSTANTIATE(T)      \
    template class PackedMatrix<T>; \
    template class OuterSum<T>;     \
    template void add_column_sums(const Kernels<T>&, const Matrix<const T>&, T*, const Worker&);

RNNCORE_INSTANTIATE(float)
RNNCORE_INSTANTIATE(double)
#undef RNNCORE_INSTANTIATE

}  // namespace rnncore
