#include "rnn/sampler.hpp"

#include <algorithm>

#include "core/philox.hpp"
#include "dispatch/dispatch.hpp"

namespace rnncore {

template <class T>
Sampler<T>::Sampler(const Network& network, const LanguageModelWeights<T>& model)
    : stream_(network, model.params, 1),
      output_(PackedMatrix<T>::transpose_of(arena_, kernels<T>(), model.weight)),
      drawer_(model.weight.rows),
      one_hot_(!model.embedding.data),
      has_bias_(model.bias != nullptr) {
    const auto count = [](Index rows, Index columns) {
        return checked_product(static_cast<std::size_t>(rows), static_cast<std::size_t>(columns));
    };
    const Matrix<const T>& embedding = model.embedding;
    if (!one_hot_) embedding_ = arena_.template reserve<T>(count(embedding.rows, embedding.columns));
    bias_ = arena_.template reserve<T>(count(1, classes()));
    logits_ = arena_.template reserve<T>(count(1, classes()));
    arena_.take(Use::result);
    if (!one_hot_) {
        for (Index v = 0; v < embedding.rows; ++v)
            std::copy_n(embedding.row(v), embedding.columns, embedding_.in(arena_) + v * embedding.columns);
    }
    if (has_bias_) std::copy_n(model.bias, classes(), bias_.in(arena_));
    run_parallel(1, [&](int thread, Team& team) { output_.fill(arena_, {thread, team}); });
}

template <class T>
void Sampler<T>::step(std::int64_t id) {
    hidden_ = one_hot_ ? stream_.step_ids(&id) : stream_.step(embedding_.in(arena_) + id * stream_.network().input(0));
}

template <class T>
void Sampler<T>::feed(const std::int64_t* ids, Index count) {
    run_parallel(1, [&](int thread, Team& team) {
        for (Index i = 0; i < count && !team.stopped(); ++i) {
            step(ids[i]);
            team.poll(thread);
        }
    });
}

template <class T>
void Sampler<T>::draw(const DrawOptions& options, const Random& random, std::int64_t* tokens, Index count) {
    check(options);
    if (!hidden_) throw Invalid("draw: expected at least one token to be fed before the first draw");
    const Index hidden = stream_.network().hidden();
    T* const logits = logits_.in(arena_);
    run_parallel(1, [&](int thread, Team& team) {
        for (Index i = 0; i < count && !team.stopped(); ++i) {
            // logits = h W^T + b
            output_.multiply(arena_, {hidden_, 1, hidden, hidden}, has_bias_ ? bias_.in(arena_) : nullptr,
                             {logits, 1, classes(), classes()}, {0, classes()});
            const std::uint64_t counter = random.counter + static_cast<std::uint64_t>(i);
            tokens[i] = drawer_.draw(logits, options, philox_uniform(random.seed, counter, RandomUse::sampling));
            step(tokens[i]);
            team.poll(thread);
        }
    });
}

template class Sampler<float>;
template class Sampler<double>;

}  // namespace rnncore
