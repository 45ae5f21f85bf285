#include "rnn/linear.hpp"

#include <algorithm>

namespace rnncore {
namespace {

double product_flops(Index m, Index n, Index k) {
    return 2 * static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k);
}

}  // namespace

template <class T>
void linear_forward(const Kernels<T>& k, const Matrix<const T>& x, const Matrix<const T>& weight, const T* bias, T* y) {
    const Matrix<T> out{y, x.rows, weight.rows, weight.rows};
    const int threads = threads_for(product_flops(out.rows, out.columns, x.columns));
    Arena arena;
    const auto packed = PackedMatrix<T>::transpose_of(arena, k, weight);
    const ProductScratch scratch(arena, k.product_scratch_bytes, threads);
    arena.take();
    run_parallel(threads, [&](int thread, Team& team) {
        const Worker worker{thread, team, scratch.of(arena, thread)};
        packed.fill(arena, worker);
        worker.barrier();
        const bool by_rows = out.rows >= out.columns;
        const Range rows = by_rows ? worker.share(out.rows, k.tile_rows) : Range{0, out.rows};
        const Range columns = by_rows ? Range{0, out.columns} : worker.share(out.columns, k.tile_columns);
        for (Index first = rows.first; first < rows.last && !worker.stopped(); first += kBlockRows) {
            const Index count = std::min<Index>(kBlockRows, rows.last - first);
            packed.multiply(arena, x.slice(first, count), bias, out.slice(first, count), columns, worker);
            worker.poll();
        }
    });
}

template <class T>
void linear_backward(const Kernels<T>& k, const Matrix<const T>& dy, const Matrix<const T>& x,
                     const Matrix<const T>& weight, const LinearGradients<T>& out) {
    const int threads = threads_for(2 * product_flops(dy.rows, dy.columns, x.columns));
    const Matrix<T> dx{out.dx, x.rows, x.columns, x.columns};
    Arena arena;
    const auto packed = PackedMatrix<T>::of(arena, k, weight);
    const OuterSum<T> outer(arena, k, threads);
    const ProductScratch scratch(arena, k.product_scratch_bytes, threads);
    arena.take();
    run_parallel(threads, [&](int thread, Team& team) {
        const Worker worker{thread, team, scratch.of(arena, thread)};
        packed.fill(arena, worker);
        worker.barrier();
        // 1. dx = dy W, by rows
        const Range rows = worker.share(dx.rows, k.tile_rows);
        for (Index first = rows.first; first < rows.last && !worker.stopped(); first += kBlockRows) {
            const Index count = std::min<Index>(kBlockRows, rows.last - first);
            packed.multiply(arena, dy.slice(first, count), nullptr, dx.slice(first, count), {0, dx.columns}, worker);
            worker.poll();
        }
        // 2. dW += dy^T x, db += sum over rows of dy, by parts of dW and db
        outer.add(arena, dy, x, out.dweight, worker);
        if (out.dbias) add_column_sums(k, dy, out.dbias, worker);
    });
}

template <class T>
void add_transposed_product(const Kernels<T>& k, const Matrix<const T>& a, const Matrix<const T>& b, T* c) {
    const int threads = threads_for(product_flops(a.columns, b.columns, a.rows));
    Arena arena;
    const OuterSum<T> outer(arena, k, threads);
    arena.take();
    run_parallel(threads, [&](int thread, Team& team) { outer.add(arena, a, b, c, {thread, team}); });
}

#define RNNCORE_INSTANTIATE(T)                                                                                     \
    template void linear_forward(const Kernels<T>&, const Matrix<const T>&, const Matrix<const T>&, const T*, T*); \
    template void linear_backward(const Kernels<T>&, const Matrix<const T>&, const Matrix<const T>&,               \
                                  const Matrix<const T>&, const LinearGradients<T>&);                              \
    template void add_transposed_product(const Kernels<T>&, const Matrix<const T>&, const Matrix<const T>&, T*);

RNNCORE_INSTANTIATE(float)
RNNCORE_INSTANTIATE(double)
#undef RNNCORE_INSTANTIATE

}  // namespace rnncore
