#include "rnn/head.hpp"

#include "rnn/kernel_choice.hpp"

namespace rnncore {

template <class T>
LossHead<T>::LossHead(const Head<T>& head) : head_(head), kernels_(kernels_for_rows<T>(head.compute, head.rows)) {}

template <class T>
double LossHead<T>::flops(Index rows) const {
    return 6.0 * static_cast<double>(rows) * static_cast<double>(head_.weight.rows) *
           static_cast<double>(head_.weight.columns);
}

template <class T>
std::size_t LossHead<T>::reserve(Arena& arena, Index rows, int threads) {
    pass_.emplace(arena, kernels_, head_.weight, rows, threads);
    if (head_.dropout > 0)
        dropped_ = arena.reserve<T>(
            checked_product(static_cast<std::size_t>(rows), static_cast<std::size_t>(head_.weight.columns)));
    return pass_->scratch();
}

template <class T>
void LossHead<T>::begin(const Arena& arena, const Worker& worker) const {
    pass_->fill(arena, worker);
}

template <class T>
void LossHead<T>::write(const Arena& arena, Index first, const Matrix<const T>& y, const Matrix<T>& dy,
                        const Worker& worker) const {
    Matrix<const T> x = y;
    const bool drops = head_.dropout > 0;
    if (drops) {
        T* const dropped = dropped_.in(arena);
        drop(y, first, dropped, worker);
        worker.barrier();
        x = {dropped, y.rows, y.columns, y.columns};
    }
    pass_->add(arena, {x, head_.weight, head_.bias, head_.targets.from(first), head_.losses + first}, head_.gradients,
               dy, worker);
    if (drops) {
        drop({dy.data, dy.rows, dy.columns, dy.columns}, first, dy.data, worker);
        worker.barrier();
    }
}

template <class T>
void LossHead<T>::drop(const Matrix<const T>& from, Index first, T* to, const Worker& worker) const {
    const Range part = worker.share(from.rows * from.columns, kernels_.lanes);
    kernels_.dropout({from.data + part.first, to + part.first, part.last - part.first,
                      static_cast<std::uint64_t>(first * from.columns + part.first), head_.seed, head_.dropout});
}

template class LossHead<float>;
template class LossHead<double>;

}  // namespace rnncore
