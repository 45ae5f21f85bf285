#include "rnn/linear_loss.hpp"

#include <algorithm>

namespace rnncore {
namespace {

// Rows of one block: their logits, x and dx stay in the cache between the products, but never fewer than kBlockRows.
// The number does not depend on the threads, so neither do the sums over blocks.
constexpr Index kBlockBytes = Index{4} << 20;

template <class T>
Index block_rows(const Matrix<const T>& weight, Index rows) {
    const Index row_bytes = (weight.rows + 2 * weight.columns + 1) * static_cast<Index>(sizeof(T));
    const Index blocks = std::max<Index>(kBlockBytes / (row_bytes * kBlockRows), 1);
    return std::min(blocks * kBlockRows, std::max<Index>(rows, 1));
}

template <class T>
Arena::Slot<T> reserve_rows(Arena& arena, Index rows, Index columns) {
    return arena.reserve<T>(checked_product(static_cast<std::size_t>(rows), static_cast<std::size_t>(columns)));
}

}  // namespace

template <class T>
void linear_losses(const Kernels<T>& k, const LinearLoss<T>& s) {
    constexpr Index kRows = 64;  // at a time and thread: enough for the product to run at full speed
    const Index classes = s.weight.rows;
    const int threads = threads_for(2.0 * static_cast<double>(s.x.rows) * static_cast<double>(classes) *
                                    static_cast<double>(s.x.columns));
    Arena arena;
    const auto packed = PackedMatrix<T>::transpose_of(arena, k, s.weight);
    const auto rows_of_logits = reserve_rows<T>(arena, threads * kRows, classes);
    const ProductScratch scratch(arena, k.product_scratch_bytes, threads);
    arena.take();
    run_parallel(threads, [&](int thread, Team& team) {
        const Worker worker{thread, team, scratch.of(arena, thread)};
        packed.fill(arena, worker);
        worker.barrier();
        const Matrix<T> logits{rows_of_logits.in(arena) + thread * kRows * classes, kRows, classes, classes};
        const Range rows = worker.share(s.x.rows, kRows);
        for (Index first = rows.first; first < rows.last && !worker.stopped(); first += kRows) {
            const Index count = std::min<Index>(kRows, rows.last - first);
            // logits = x W^T + b
            packed.multiply(arena, s.x.slice(first, count), s.bias, logits, {0, classes}, worker);
            for (Index r = 0; r < count; ++r) s.losses[first + r] = s.targets.loss(k, logits.row(r), first + r);
            worker.poll();
        }
    });
}

template <class T>
LinearLossPass<T>::LinearLossPass(Arena& arena, const Kernels<T>& kernels, const Matrix<const T>& weight, Index rows,
                                  int threads)
    : kernels_(&kernels),
      block_(block_rows(weight, rows)),
      forward_(PackedMatrix<T>::transpose_of(arena, kernels, weight)),
      backward_(PackedMatrix<T>::of(arena, kernels, weight)),
      scratch_(arena.mark()),
      outer_(arena, kernels, threads),
      logits_(reserve_rows<T>(arena, block_, weight.rows)) {}

template <class T>
void LinearLossPass<T>::fill(const Arena& arena, const Worker& worker) const {
    forward_.fill(arena, worker);
    backward_.fill(arena, worker);
}

template <class T>
void LinearLossPass<T>::add(const Arena& arena, const LinearLoss<T>& s, const LinearLossGradients<T>& out,
                            const Matrix<T>& dx, const Worker& worker) const {
    for (Index first = 0; first < s.x.rows; first += block_) {
        const Index count = std::min(block_, s.x.rows - first);
        add_block(arena, {s.x.slice(first, count), s.weight, s.bias, s.targets.from(first), s.losses + first}, out,
                  dx.slice(first, count), worker);
    }
}

// Every thread passes the same barriers, also when the work has been stopped.
template <class T>
void LinearLossPass<T>::add_block(const Arena& arena, const LinearLoss<T>& s, const LinearLossGradients<T>& out,
                                  const Matrix<T>& dx, const Worker& worker) const {
    const Kernels<T>& k = *kernels_;
    const Index classes = s.weight.rows, hidden = s.x.columns;
    const Matrix<T> logits{logits_.in(arena), s.x.rows, classes, classes};
    const Range rows = worker.share(s.x.rows, k.tile_rows);
    const Index mine = rows.last - rows.first;
    if (mine > 0 && !worker.stopped()) {
        // 1. the thread's own rows: logits = x W^T + b, in their place dlogits = their gradient * scale
        const Matrix<T> own = logits.slice(rows.first, mine);
        forward_.multiply(arena, s.x.slice(rows.first, mine), s.bias, own, {0, classes}, worker);
        for (Index n = rows.first; n < rows.last; ++n)
            s.losses[n] = s.targets.gradient(k, logits.row(n), n, static_cast<T>(out.scale));
        // 2. dx = dlogits W
        backward_.multiply(arena, {own.data, mine, classes, classes}, nullptr, dx.slice(rows.first, mine), {0, hidden},
                           worker);
    }
    worker.barrier();
    // 3. sums over all rows: dW += dlogits^T x, db += dlogits
    const Matrix<const T> dlogits{logits.data, s.x.rows, classes, classes};
    outer_.add(arena, dlogits, s.x, out.dweight, worker);
    if (out.dbias) add_column_sums(k, dlogits, out.dbias, worker);
    worker.poll();
    worker.barrier();
}

template <class T>
void linear_losses_backward(const Kernels<T>& k, const LinearLoss<T>& s, const LinearLossGradients<T>& out,
                            const Matrix<T>& dx) {
    const double flops = 6.0 * static_cast<double>(s.x.rows) * static_cast<double>(s.weight.rows) *
                         static_cast<double>(s.weight.columns);
    const int threads = threads_for(flops);
    Arena arena;
    const ProductScratch scratch(arena, k.product_scratch_bytes, threads);
    const LinearLossPass<T> pass(arena, k, s.weight, s.x.rows, threads);
    arena.take();
    run_parallel(threads, [&](int thread, Team& team) {
        const Worker worker{thread, team, scratch.of(arena, thread)};
        pass.fill(arena, worker);
        worker.barrier();
        pass.add(arena, s, out, dx, worker);
    });
}

#define RNNCORE_INSTANTIATE(T)                                                                                   \
    template void linear_losses(const Kernels<T>&, const LinearLoss<T>&);                                        \
    template void linear_losses_backward(const Kernels<T>&, const LinearLoss<T>&, const LinearLossGradients<T>&, \
                                         const Matrix<T>&);                                                      \
    template class LinearLossPass<T>;

RNNCORE_INSTANTIATE(float)
RNNCORE_INSTANTIATE(double)
#undef RNNCORE_INSTANTIATE

}  // namespace rnncore
