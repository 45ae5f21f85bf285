// A language model reads and writes one sequence: [embedding] -> network -> output product -> draw -> back to the
// embedding. Weights are packed once; nothing is allocated per token.
#pragma once

#include <cstdint>
#include <memory>

#include "core/memory.hpp"
#include "rnn/draw.hpp"
#include "rnn/matrix.hpp"
#include "rnn/stream.hpp"

namespace rnncore {

template <class T>
struct LanguageModelWeights {
    const T* params;            // [P]
    Matrix<const T> embedding;  // [V,E]; null data: ids are one-hot inputs
    Matrix<const T> weight;     // [V,H]
    const T* bias;              // [V], null: none
};

template <class T>
class Sampler {
public:
    // Copies the weights. Invalid for a bidirectional network.
    Sampler(const Network& network, const LanguageModelWeights<T>& model, Storage storage);
    // Goes on from the same state on its own; the packed weights are shared.
    Sampler(const Sampler& other);
    Sampler& operator=(const Sampler&) = delete;

    Index classes() const { return output_->weight.n; }

    // Runs the network over ids [count], each within [0, V).
    void feed(const std::int64_t* ids, Index count);

    // The same; scores[i] [count - 1] is the log-probability of ids[i + 1] given all that was fed before it.
    void score(const std::int64_t* ids, Index count, double* scores);

    struct Random {
        std::uint64_t seed;
        std::uint64_t counter;  // token i uses counter + i
    };
    // Draws tokens [count], feeding each back. Invalid before anything was fed.
    void draw(const DrawOptions& options, const Random& random, std::int64_t* tokens, Index count);

private:
    // What no token changes.
    struct Output {
        Arena arena;
        StoredMatrix<T> weight;
        Arena::Slot<T> bias;
    };

    void take_working_memory();
    // Calls after(first, steps) when ids[first .. first + steps) have been read; `hidden` as y of Stream::advance_ids.
    template <class After>
    void read(const std::int64_t* ids, Index count, T* hidden, const After& after);
    void multiply_output(const T* hidden);  // logits = W h + b

    Stream<T> stream_;
    const StorageKernels<T>* kernels_;
    std::shared_ptr<const Output> output_;
    Arena arena_;
    Arena::Slot<T> logits_, hidden_;
    Arena::Slot<char> scratch_;
    Drawer drawer_;
    bool fed_ = false;
};

}  // namespace rnncore
