#include "rnn/sampler.hpp"

#include <algorithm>
#include <utility>

#include "core/philox.hpp"
#include "dispatch/dispatch.hpp"

namespace rnncore {

template <class T>
Sampler<T>::Sampler(const Network& network, const LanguageModelWeights<T>& model, Storage storage)
    : stream_(network, model.params, {1, storage, model.embedding}),
      kernels_(&kernels<T>().storages[static_cast<int>(storage)]),
      drawer_(model.weight.rows) {
    const auto classes = static_cast<std::size_t>(model.weight.rows);
    auto output = std::make_shared<Output>();
    output->weight = StoredMatrix<T>(output->arena, *kernels_, network.output(), model.weight.rows);
    output->bias = output->arena.template reserve<T>(classes);
    output->arena.take(Use::result);
    output->weight.fill(output->arena, *kernels_, model.weight.data, model.weight.stride);
    T* const bias = output->bias.in(output->arena);
    if (model.bias)
        std::copy_n(model.bias, classes, bias);
    else
        std::fill_n(bias, classes, T(0));
    output_ = std::move(output);
    take_working_memory();
}

template <class T>
Sampler<T>::Sampler(const Sampler& other)
    : stream_(other.stream_),
      kernels_(other.kernels_),
      output_(other.output_),
      drawer_(other.classes()),
      fed_(other.fed_) {
    take_working_memory();
}

template <class T>
void Sampler<T>::take_working_memory() {
    const Index hidden = stream_.network().output();
    logits_ = arena_.template reserve<T>(static_cast<std::size_t>(classes()));
    hidden_ = arena_.template reserve<T>(static_cast<std::size_t>(stream_.most_steps() * hidden));
    scratch_ = arena_.template reserve<char>(static_cast<std::size_t>(kernels_->scratch_bytes(hidden)));
    arena_.take(Use::result);
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
    const Index hidden = stream_.network().output();
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
    const Arena& weights = output_->arena;
    const Index k = output_->weight.k;
    kernels_->product({hidden, k, logits_.in(arena_), classes(), 1, output_->weight.in(weights), k, classes(),
                       output_->bias.in(weights), Init::bias, scratch_.in(arena_)});
}

template <class T>
void Sampler<T>::draw(const DrawOptions& options, const Random& random, std::int64_t* tokens, Index count) {
    check(options);
    if (!fed_) throw Invalid("draw: expected at least one token to be fed before the first draw");
    run_parallel(1, [&](int thread, Team& team) {
        for (Index i = 0; i < count && !team.stopped(); ++i) {
            multiply_output(stream_.last_output());
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
