#include "rnn/attention_rnn/layer.hpp"

#include "core/memory.hpp"

namespace rnncore {
namespace {

Index sum(Index a, Index b) {
    Index result = 0;
    if (__builtin_add_overflow(a, b, &result)) throw OutOfMemory("sizes overflow the address space");
    return result;
}

Network network(const AttentionRnnOptions& options, Index input) {
    NetworkOptions network;
    network.cell = options.cell;
    network.input = input;
    network.hidden = options.hidden;
    network.bias = options.bias;
    network.compute = options.compute;
    return Network(network);
}

}  // namespace

AttentionRnn::AttentionRnn(const AttentionRnnOptions& options)
    : options_(options),
      joint_(sum(options.context, options.hidden)),
      first_(network(options, feeds_input() ? sum(options.input, options.hidden) : options.input)) {
    if (!feeds_input()) second_.emplace(network(options, options.context));
    checked_product(static_cast<std::size_t>(sum(joint_, 1)) * sizeof(double), static_cast<std::size_t>(hidden()));
}

Index AttentionRnn::last_count() const {
    return second_ ? second_->parameter_count() : hidden() * (joint() + (options_.bias ? 1 : 0));
}

}  // namespace rnncore
