#include "rnn/sampler.hpp"

#include <algorithm>

#include "core/philox.hpp"
#include "dispatch/dispatch.hpp"

namespace rnncore {

template <class T>
Sampler<T>::Sampler(const Network& network, const LanguageModelWeights<T>& model, Storage storage)
    : stream_(network, model.params, {1, storage, model.embedding}),
      kernels_(&kernels<T>().storages[static_cast<int>(storage)]),
      output_(arena_, *kernels_, network.hidden(), model.weight.rows),
      drawer_(model.weight.rows) {
    const auto classes = static_cast<std::size_t>(model.weight.rows);
    bias_ = arena_.template reserve<T>(classes);
    logits_ = arena_.template reserve<T>(classes);
    hidden_ = arena_.template reserve<T>(static_cast<std::size_t>(stream_.most_steps() * network.hidden()));
    scratch_ = arena_.template reserve<char>(static_cast<std::size_t>(kernels_->scratch_bytes(network.hidden())));
    arena_.take(Use::result);
    output_.fill(arena_, *kernels_, model.weight.data, model.weight.stride);
    if (model.bias)
        std::copy_n(model.bias, classes, bias_.in(arena_));
    else
        std::fill_n(bias_.in(arena_), classes, T(0));
}

template <class T>
template <class After>
void Sampler<T>::read(const std::int64_t* ids, Index count, T* hidden, const After& after) {
    run_parallel(1, [&](int thread, Team& team) {
        for (Index first = 0; first < count && !team.stopped();) {
            const Index steps = std::min(stream_.most_steps(), count - first);
            stream_.advance_ids(ids + first, steps, hidden);
            fed_ = true;
            after(first, steps);
            first += steps;
            team.poll(thread);
        }
    });
}

template <class T>
void Sampler<T>::feed(const std::int64_t* ids, Index count) {
    read(ids, count, nullptr, [](Index, Index) {});
}

template <class T>
void Sampler<T>::score(const std::int64_t* ids, Index count, double* scores) {
    const Index hidden = stream_.network().hidden();
    T* const rows = hidden_.in(arena_);
    read(ids, count, rows, [&](Index first, Index steps) {
        for (Index i = 0; i < steps && first + i + 1 < count; ++i) {
            multiply_output(rows + i * hidden);
            scores[first + i] = -kernels<T>().cross_entropy(logits_.in(arena_), classes(), ids[first + i + 1]);
        }
    });
}

template <class T>
void Sampler<T>::multiply_output(const T* hidden) {
    const Index k = output_.k;
    kernels_->product({hidden, k, logits_.in(arena_), classes(), 1, output_.in(arena_), k, classes(), bias_.in(arena_),
                       Init::bias, scratch_.in(arena_)});
}

template <class T>
void Sampler<T>::draw(const DrawOptions& options, const Random& random, std::int64_t* tokens, Index count) {
    check(options);
    if (!fed_) throw Invalid("draw: expected at least one token to be fed before the first draw");
    run_parallel(1, [&](int thread, Team& team) {
        for (Index i = 0; i < count && !team.stopped(); ++i) {
            multiply_output(stream_.hidden());
            const std::uint64_t counter = random.counter + static_cast<std::uint64_t>(i);
            tokens[i] =
                drawer_.draw(logits_.in(arena_), options, philox_uniform(random.seed, counter, RandomUse::sampling));
            stream_.advance_ids(tokens + i, 1, nullptr);
            team.poll(thread);
        }
    });
}

template class Sampler<float>;
template class Sampler<double>;

}  // namespace rnncore
