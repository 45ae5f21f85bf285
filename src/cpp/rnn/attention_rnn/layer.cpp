#include "rnn/attention_rnn/layer.hpp"

namespace rnncore {
namespace {

Network network(const AttentionRnnOptions& options, Index input) {
    NetworkOptions network;
    network.cell = options.cell;
    network.input = input;
    network.hidden = options.hidden;
    network.bias = options.bias;
    network.compute = options.compute;
    return Network(network);
}

Index first_input(const AttentionRnnOptions& options) {
    Index sum = options.input;
    if (options.feeding == Feeding::input && __builtin_add_overflow(options.input, options.hidden, &sum))
        throw OutOfMemory("sizes overflow the address space");
    return sum;
}

}  // namespace

AttentionRnn::AttentionRnn(const AttentionRnnOptions& options)
    : options_(options), first_(network(options, first_input(options))), attention_(options.attention) {
    if (!feeds_input()) second_.emplace(network(options, options.memory));
}

}  // namespace rnncore
