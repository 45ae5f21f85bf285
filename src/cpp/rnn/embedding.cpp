#include "rnn/embedding.hpp"

#include <algorithm>

#include "dispatch/dispatch.hpp"
#include "rnn/blocks.hpp"

namespace rnncore {

template <class T>
void embedding_forward(const std::int64_t* ids, const Matrix<const T>& weight, const Matrix<T>& y) {
    for_row_blocks(y.rows, y.columns, [&](Index first, Index last) {
        for (Index n = first; n < last; ++n) std::copy_n(weight.row(ids[n]), y.columns, y.row(n));
    });
}

// Threads divide the columns, so that rows of one id are added in their order whatever the number of threads.
template <class T>
void embedding_backward(const Matrix<const T>& dy, const std::int64_t* ids, T* dweight) {
    const Kernels<T>& k = kernels<T>();
    const double flops = kFlopsPerElement * static_cast<double>(dy.rows) * static_cast<double>(dy.columns);
    run_parallel(threads_for(flops), [&](int thread, Team& team) {
        const Worker worker{thread, team};
        const Range columns = worker.share(dy.columns, k.tile_columns);
        for (Index first = 0; first < dy.rows && !worker.stopped(); first += kBlockRows) {
            for (Index n = first; n < std::min(first + kBlockRows, dy.rows); ++n)
                k.add(dy.row(n) + columns.first, columns.last - columns.first,
                      dweight + ids[n] * dy.columns + columns.first);
            worker.poll();
        }
    });
}

#define RNNCORE_INSTANTIATE(T)                                                                      \
    template void embedding_forward(const std::int64_t*, const Matrix<const T>&, const Matrix<T>&); \
    template void embedding_backward(const Matrix<const T>&, const std::int64_t*, T*);

RNNCORE_INSTANTIATE(float)
RNNCORE_INSTANTIATE(double)
#undef RNNCORE_INSTANTIATE

}  // namespace rnncore
