// A language model writes one sequence: [embedding] -> network -> output product -> draw -> back to the embedding. Weights
// are packed once; nothing is allocated per token.
#pragma once

#include <cstdint>

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
    Sampler(const Network& network, const LanguageModelWeights<T>& model);

    Index classes() const { return output_.columns(); }

    // Runs the network over ids [count], each within [0, V).
    void feed(const std::int64_t* ids, Index count);

    struct Random {
        std::uint64_t seed;
        std::uint64_t counter;  // token i uses counter + i
    };
    // Draws tokens [count], feeding each back. Invalid before anything was fed.
    void draw(const DrawOptions& options, const Random& random, std::int64_t* tokens, Index count);

private:
    void step(std::int64_t id);

    Stream<T> stream_;
    Arena arena_;
    Arena::Slot<T> embedding_, bias_, logits_;
    PackedMatrix<T> output_;
    Drawer drawer_;
    bool one_hot_, has_bias_;
    const T* hidden_ = nullptr;  // [H] of the last token
};

}  // namespace rnncore
