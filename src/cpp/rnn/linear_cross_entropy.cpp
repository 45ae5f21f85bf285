#include "rnn/linear_cross_entropy.hpp"

#include <algorithm>

#include "dispatch/dispatch.hpp"

namespace rnncore {
namespace {

// Rows of one block: their logits, x and dx stay in the cache between the products, but never fewer than kBlockRows. The
// number does not depend on the threads, so neither do the sums over blocks.
constexpr Index kBlockBytes = Index{4} << 20;

template <class T>
Index block_rows(const LinearCrossEntropy<T>& s) {
    const Index row_bytes = (s.weight.rows + 2 * s.x.columns + 1) * static_cast<Index>(sizeof(T));
    const Index blocks = std::max<Index>(kBlockBytes / (row_bytes * kBlockRows), 1);
    return std::min(blocks * kBlockRows, std::max<Index>(s.x.rows, 1));
}

template <class T>
int thread_count(const LinearCrossEntropy<T>& s, int products) {
    return threads_for(2.0 * products * static_cast<double>(s.x.rows) * static_cast<double>(s.weight.rows) *
                       static_cast<double>(s.x.columns));
}

template <class T>
Arena::Slot<T> reserve_rows(Arena& arena, Index rows, Index columns) {
    return arena.reserve<T>(checked_product(static_cast<std::size_t>(rows), static_cast<std::size_t>(columns)));
}

}  // namespace

template <class T>
void linear_cross_entropy(const LinearCrossEntropy<T>& s) {
    constexpr Index kRows = 64;  // at a time and thread: enough for the product to run at full speed
    const Kernels<T>& k = kernels<T>();
    const int threads = thread_count(s, 1);
    const Index classes = s.weight.rows;
    Arena arena;
    const auto packed = PackedMatrix<T>::transpose_of(arena, k, s.weight);
    const auto scratch = reserve_rows<T>(arena, threads * kRows, classes);
    arena.take();
    run_parallel(threads, [&](int thread, Team& team) {
        const Worker worker{thread, team};
        packed.fill(arena, worker);
        worker.barrier();
        const Matrix<T> logits{scratch.in(arena) + thread * kRows * classes, kRows, classes, classes};
        const Range rows = worker.share(s.x.rows, kRows);
        for (Index first = rows.first; first < rows.last && !worker.stopped(); first += kRows) {
            const Index count = std::min<Index>(kRows, rows.last - first);
            // logits = x W^T + b
            packed.multiply(arena, s.x.slice(first, count), s.bias, logits, {0, classes});
            for (Index r = 0; r < count; ++r) {
                const std::int64_t target = s.targets.ids[first + r];
                const bool counts = target != s.targets.ignored;
                s.losses[first + r] = counts ? k.cross_entropy(logits.row(r), classes, target) : 0.0;
            }
            worker.poll();
        }
    });
}

template <class T>
void linear_cross_entropy_grad(const LinearCrossEntropy<T>& s, const LinearCrossEntropyGradients<T>& out) {
    const Kernels<T>& k = kernels<T>();
    const int threads = thread_count(s, 3);
    const Index classes = s.weight.rows, hidden = s.x.columns, block = block_rows(s);
    const Matrix<T> dx{out.dx, s.x.rows, hidden, hidden};
    Arena arena;
    const auto forward = PackedMatrix<T>::transpose_of(arena, k, s.weight);
    const auto backward = PackedMatrix<T>::of(arena, k, s.weight);
    const OuterSum<T> outer(arena, k, threads);
    const auto scratch = reserve_rows<T>(arena, block, classes);
    arena.take();

    run_parallel(threads, [&](int thread, Team& team) {
        const Worker worker{thread, team};
        forward.fill(arena, worker);
        backward.fill(arena, worker);
        worker.barrier();
        // Nobody polls between the end of a block and its next barrier: here all threads read the same answer, so that
        // either all or none go on to the barriers of the next block.
        for (Index first = 0; first < s.x.rows && !worker.stopped(); first += block) {
            const Index count = std::min(block, s.x.rows - first);
            const Matrix<T> logits{scratch.in(arena), count, classes, classes};
            const Range rows = worker.share(count, k.tile_rows);
            const Index mine = rows.last - rows.first;
            if (mine > 0) {
                // 1. the thread's own rows: logits = x W^T + b, in their place dlogits = (softmax - one_hot) * scale
                const Matrix<T> own = logits.slice(rows.first, mine);
                forward.multiply(arena, s.x.slice(first + rows.first, mine), s.bias, own, {0, classes});
                for (Index r = 0; r < mine; ++r) {
                    const Index n = first + rows.first + r;
                    s.losses[n] = cross_entropy_in_place(k, own.row(r), classes, s.targets.ids[n], s.targets.ignored);
                }
                k.scale(static_cast<T>(out.scale), mine * classes, own.data);
                // 2. dx = dlogits W
                backward.multiply(arena, {own.data, mine, classes, classes}, nullptr,
                                  dx.slice(first + rows.first, mine), {0, hidden});
            }
            worker.barrier();
            // 3. sums over all rows: dW += dlogits^T x, db += dlogits
            const Matrix<const T> dlogits{logits.data, count, classes, classes};
            outer.add(arena, dlogits, s.x.slice(first, count), out.dweight, worker);
            if (out.dbias) add_column_sums(k, dlogits, out.dbias, worker);
            worker.poll();
            worker.barrier();
        }
    });
}

#define RNNCORE_INSTANTIATE(T)                                        \
    template void linear_cross_entropy(const LinearCrossEntropy<T>&); \
    template void linear_cross_entropy_grad(const LinearCrossEntropy<T>&, const LinearCrossEntropyGradients<T>&);

RNNCORE_INSTANTIATE(float)
RNNCORE_INSTANTIATE(double)
#undef RNNCORE_INSTANTIATE

}  // namespace rnncore
