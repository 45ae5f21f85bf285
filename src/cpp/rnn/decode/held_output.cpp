#include "rnn/decode/held_output.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "dispatch/dispatch.hpp"
#include "rnn/blocks.hpp"

namespace rnncore {
namespace {

// Classes whose exponentials are summed together; a multiple of every panel of packed weights. The sums of these blocks
// are added one after the other, whoever has computed them.
constexpr Index kClasses = 512;
// Rows of a block at a time, and logits that a thread holds: they stay in the L2 cache beside the block's weights.
constexpr Index kRows = 96;
// With fewer rows to a thread, threads divide the classes instead: each then reads its part of the weights.
constexpr Index kFewRows = 16;

// log sum exp(z); minus infinity of classes without any probability, not a number where one of z is none.
template <class T>
double log_sum(const Kernels<T>& kernels, const T* z, Index n) {
    const auto relative_to = [&](Index i) { return kernels.cross_entropy(z, n, i) + static_cast<double>(z[i]); };
    const double sum = relative_to(0);
    if (!std::isnan(sum)) return sum;
    Index greatest = 0;  // relative to minus infinity nothing is left
    for (Index i = 0; i < n; ++i) {
        if (std::isnan(z[i])) return sum;
        if (z[i] > z[greatest]) greatest = i;
    }
    return std::isinf(z[greatest]) ? static_cast<double>(z[greatest]) : relative_to(greatest);
}

double log_sum(const double* parts, Index n) {
    const double greatest = *std::max_element(parts, parts + n);
    if (std::isinf(greatest)) return std::numeric_limits<double>::quiet_NaN();
    double sum = 0;
    for (Index i = 0; i < n; ++i) sum += std::exp(parts[i] - greatest);
    return greatest + std::log(sum);
}

template <class T>
PackedMatrix<T> packed_for(Arena& arena, const Matrix<const T>& weight, bool wanted) {
    return PackedMatrix<T>::transpose_of(arena, kernels<T>(), wanted ? weight : Matrix<const T>{weight.data, 0, 0, 0});
}

}  // namespace

template <class T>
HeldOutput<T>::HeldOutput(const Matrix<const T>& weight, const T* bias, Storage storage)
    : table_(&active_table()),
      stored_(storage == Storage::full ? nullptr : &kernels<T>().storages[static_cast<int>(storage)]),
      classes_(weight.rows),
      width_(weight.columns),
      packed_(packed_for(arena_, weight, storage == Storage::full)) {
    check<T>(storage, width_);
    if (stored_) narrow_ = StoredMatrix<T>(arena_, *stored_, width_, classes_);
    bias_ = arena_.template reserve<T>(static_cast<std::size_t>(classes_));
    arena_.take(Use::result);
    T* const sums = bias_.in(arena_);
    if (bias)
        std::copy_n(bias, classes_, sums);
    else
        std::fill_n(sums, classes_, T(0));
    if (stored_) {
        narrow_.fill(arena_, *stored_, weight.data, weight.stride);
    } else {
        run_parallel(1, [&](int thread, Team& team) { packed_.fill(arena_, {thread, team}); });
    }
}

// One call: the logits of all rows, block by block, and the sums of their exponentials.
template <class T>
class HeldOutput<T>::Pass {
public:
    Pass(const HeldOutput& output, const Matrix<const T>& y)
        : output_(output),
          y_(y),
          blocks_((output.classes_ + kClasses - 1) / kClasses),
          threads_(threads_for(2.0 * static_cast<double>(y.rows) * static_cast<double>(output.classes_) *
                               static_cast<double>(output.width_))),
          by_rows_(y.rows >= kFewRows * threads_) {
        if (&active_table() != output.table_)
            throw Invalid("output: its weights are packed for the instruction set " + std::string(output.table_->name) +
                          ", but " + active_table().name + " was selected since");
        const auto threads = static_cast<std::size_t>(threads_);
        group_ = std::clamp<Index>(kRows / std::max<Index>(y.rows, 1), 1, blocks_);
        held_rows_ = std::min(kRows, std::max<Index>(y.rows, 1));
        parts_ = arena_.reserve<double>(checked_product(static_cast<std::size_t>(y.rows), blocks()));
        logits_ = arena_.reserve<T>(threads * static_cast<std::size_t>(held_rows_ * group_ * kClasses));
        const Index scratch =
            output.stored_ ? output.stored_->scratch_bytes(output.width_) : kernels<T>().product_scratch_bytes;
        scratch_ = ProductScratch(arena_, scratch, threads_);
        arena_.take();
    }

    // Lists of partial results that threads make of the same row.
    Index parts() const { return by_rows_ ? 1 : threads_; }

    // visit(part, row, first class, logits, count) for all blocks of every row; the classes of a part ascend.
    template <class Visit>
    void run(const Visit& visit) {
        run_parallel(threads_, [&](int thread, Team& team) {
            const Worker worker{thread, team, scratch_.of(arena_, thread)};
            const Range rows = by_rows_ ? worker.share(y_.rows) : Range{0, y_.rows};
            const Range blocks = by_rows_ ? Range{0, blocks_} : worker.share(blocks_);
            for (Index row = rows.first; row < rows.last; row += kRows) {
                const Index count = std::min(kRows, rows.last - row);
                for (Index block = blocks.first; block < blocks.last && !worker.stopped(); block += group_) {
                    take(row, count, {block, std::min(block + group_, blocks.last)}, worker, visit);
                    worker.poll();
                }
            }
        });
    }

    double log_sum_of(Index row) const { return log_sum(parts_.in(arena_) + row * blocks_, blocks_); }

private:
    std::size_t blocks() const { return static_cast<std::size_t>(blocks_); }

    template <class Visit>
    void take(Index row, Index count, Range some, const Worker& worker, const Visit& visit) {
        const Index first = some.first * kClasses, last = std::min(some.last * kClasses, output_.classes_);
        const Matrix<T> z{logits_.in(arena_) + worker.thread * held_rows_ * group_ * kClasses, count, last - first,
                          group_ * kClasses};
        multiply(y_.slice(row, count), first, z, worker);
        for (Index r = 0; r < count; ++r) {
            for (Index block = some.first; block < some.last; ++block) {
                const Index at = block * kClasses, classes = std::min(kClasses, last - at);
                const T* const logits = z.row(r) + at - first;
                parts_.in(arena_)[(row + r) * blocks_ + block] = log_sum(kernels<T>(), logits, classes);
                visit(by_rows_ ? 0 : worker.thread, row + r, at, logits, classes);
            }
        }
    }

    // z = y W^T + b of the classes from `first` on
    void multiply(const Matrix<const T>& y, Index first, const Matrix<T>& z, const Worker& worker) const {
        const T* const bias = output_.bias_.in(output_.arena_);
        if (!output_.stored_) {
            output_.packed_.multiply_part(output_.arena_, y, bias, z, {first, first + z.columns}, worker);
            return;
        }
        const auto* const packed = static_cast<const char*>(output_.narrow_.in(output_.arena_));
        output_.stored_->product({y.data, y.stride, z.data, z.stride, z.rows,
                                  packed + output_.stored_->packed_bytes(output_.width_, first), output_.width_,
                                  z.columns, bias + first, Init::bias, worker.scratch});
    }

    const HeldOutput& output_;
    Matrix<const T> y_;
    Index blocks_;
    int threads_;
    bool by_rows_;
    Index group_, held_rows_;
    Arena arena_;
    Arena::Slot<double> parts_;
    Arena::Slot<T> logits_;
    ProductScratch scratch_{arena_, 0, 0};
};

template <class T>
void HeldOutput<T>::log_probabilities(const Matrix<const T>& y, T* to) const {
    Pass pass(*this, y);
    pass.run([&](Index, Index row, Index first, const T* z, Index count) {
        std::copy_n(z, count, to + row * classes_ + first);
    });
    for_row_blocks(y.rows, classes_, [&](Index first, Index last) {
        for (Index row = first; row < last; ++row) {
            const double sum = pass.log_sum_of(row);
            T* const p = to + row * classes_;
            for (Index i = 0; i < classes_; ++i) p[i] = static_cast<T>(static_cast<double>(p[i]) - sum);
        }
    });
}

template <class T>
void HeldOutput<T>::top(const Matrix<const T>& y, Index k, double* values, std::int64_t* ids) const {
    Pass pass(*this, y);
    const Index parts = pass.parts();
    std::vector<Greatest<T>> found;
    found.reserve(static_cast<std::size_t>(y.rows * parts));
    for (Index i = 0; i < y.rows * parts; ++i) found.emplace_back(k);
    const auto of = [&](Index row, Index part) -> Greatest<T>& {
        return found[static_cast<std::size_t>(row * parts + part)];
    };
    pass.run([&](Index part, Index row, Index first, const T* z, Index count) { of(row, part).see(z, count, first); });
    for (Index row = 0; row < y.rows; ++row) {
        for (Index part = 1; part < parts; ++part) of(row, 0).see(of(row, part));
        const double sum = pass.log_sum_of(row);
        Index i = row * k;
        for (const auto& item : of(row, 0).sorted()) {
            values[i] = static_cast<double>(item.value) - sum;
            ids[i++] = item.id;
        }
    }
}

template <class T>
void HeldOutput<T>::of(const Matrix<const T>& y, const std::int64_t* begins, const std::int64_t* targets,
                       double* to) const {
    Pass pass(*this, y);
    pass.run([&](Index, Index row, Index first, const T* z, Index count) {
        for (std::int64_t i = begins[row]; i < begins[row + 1]; ++i) {
            const std::int64_t at = targets[i] - first;
            if (at >= 0 && at < count) to[i] = static_cast<double>(z[at]);
        }
    });
    for (Index row = 0; row < y.rows; ++row) {
        const double sum = pass.log_sum_of(row);
        for (std::int64_t i = begins[row]; i < begins[row + 1]; ++i) to[i] -= sum;
    }
}

template class HeldOutput<float>;
template class HeldOutput<double>;

}  // namespace rnncore
