#include "rnn/network.hpp"

#include "core/memory.hpp"

namespace rnncore {
namespace {

void require_positive(const char* name, Index value) {
    if (value < 1) throw Invalid(std::string(name) + ": expected a positive integer, got " + std::to_string(value));
}

}  // namespace

Network::Network(const NetworkOptions& options) : options_(options), cell_(&find_cell(options.cell)) {
    require_positive("input_size", options.input);
    require_positive("hidden_size", options.hidden);
    require_positive("num_layers", options.layers);
    if (!(options.dropout >= 0 && options.dropout < 1))
        throw Invalid("dropout: expected a probability in [0, 1), got " + std::to_string(options.dropout));
    // G*H and D*H are multiplied as Index from here on.
    checked_product(sizeof(double) * static_cast<std::size_t>(cell_->gates * directions()),
                    static_cast<std::size_t>(units()));
    for (Index layer = 0; layer < layers(); ++layer) {
        for (Index direction = 0; direction < directions(); ++direction) add_layer(layer, direction);
    }
}

void Network::add_layer(Index layer, Index direction) {
    const std::string suffix = "_l" + std::to_string(layer) + (direction ? "_reverse" : "");
    ParameterOffsets o{};
    o.weight_ih = add("weight_ih" + suffix, {gate_columns(), input(layer)});
    o.weight_hh = add("weight_hh" + suffix, {gate_columns(), recurrent()});
    if (bias()) {
        o.bias_ih = add("bias_ih" + suffix, {gate_columns()});
        o.bias_hh = add("bias_hh" + suffix, {gate_columns()});
    }
    offsets_.push_back(o);
}

Index Network::add(const std::string& name, std::vector<Index> shape) {
    const Index offset = parameter_count_;
    std::size_t size = sizeof(double);
    for (const Index n : shape) size = checked_product(size, static_cast<std::size_t>(n));
    const Index count = static_cast<Index>(size / sizeof(double));
    if (__builtin_add_overflow(offset, count, &parameter_count_)) throw OutOfMemory("sizes overflow the address space");
    parameters_.push_back({name, offset, std::move(shape)});
    return offset;
}

}  // namespace rnncore
