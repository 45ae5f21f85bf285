// The configuration of a stacked, possibly bidirectional recurrent network and the layout of its flat parameter buffer.
#pragma once

#include <string>
#include <vector>

#include "core/error.hpp"
#include "kernels/table.hpp"
#include "rnn/cells/cell.hpp"

namespace rnncore {

// Where one direction of one layer has its parameters in the flat buffer; PyTorch's names, shapes and order.
struct ParameterOffsets {
    Index weight_ih;  // [G*H, I]
    Index weight_hh;  // [G*H, R]
    Index bias_ih;    // [G*H]
    Index bias_hh;    // [G*H]
};

struct Parameter {
    std::string name;
    Index offset;
    std::vector<Index> shape;
};

struct NetworkOptions {
    std::string cell;  // the name of a Cell
    Index input = 0;
    Index hidden = 0;
    Index layers = 1;
    bool bias = true;
    bool bidirectional = false;
    double dropout = 0;  // probability, on the output of each layer but the last, in training
    Compute compute = Compute::full;
};

class Network {
public:
    explicit Network(const NetworkOptions& options);

    const NetworkOptions& options() const { return options_; }
    const Cell& cell() const { return *cell_; }
    bool bias() const { return options_.bias; }
    double dropout() const { return options_.dropout; }
    Compute compute() const { return options_.compute; }
    Index layers() const { return options_.layers; }
    Index directions() const { return options_.bidirectional ? 2 : 1; }

    // Widths, which have names of their own although some are equal for every cell that there is.
    Index units() const { return options_.hidden; }                     // H: of each gate
    Index recurrent() const { return options_.hidden; }                 // R: of what W_hh multiplies
    Index direction_output() const { return options_.hidden; }          // of what one direction of a layer puts out
    Index output() const { return directions() * direction_output(); }  // D*H: of a layer
    Index input(Index layer) const { return layer == 0 ? options_.input : output(); }
    Index gate_columns() const { return cell_->gates * units(); }                    // G*H: of the sums
    Index kept_gates() const { return cell_->sums_in_output ? 0 : gate_columns(); }  // of the gates beside the output
    Index extra() const { return cell_->has_extra ? units() : 0; }                   // of the step's own vector
    // Of the first state, which is the output, and of the others.
    Index states() const { return cell_->states; }
    Index state(Index which) const { return which == 0 ? direction_output() : units(); }
    Index cell_state() const { return states() > 1 ? state(1) : 0; }  // of c
    // Elements of all layers' and directions' arrays of a state: [L*D, B, state(which)].
    Index state_size(Index which, Index batch) const {
        Index size = 0;
        if (__builtin_mul_overflow(layers() * directions() * state(which), batch, &size))
            throw OutOfMemory("sizes overflow the address space");
        return size;
    }

    ParameterOffsets offsets(Index layer, Index direction) const {
        return offsets_[static_cast<std::size_t>(layer * directions() + direction)];
    }
    const std::vector<Parameter>& parameters() const { return parameters_; }
    Index parameter_count() const { return parameter_count_; }

private:
    void add_layer(Index layer, Index direction);
    Index add(const std::string& name, std::vector<Index> shape);

    NetworkOptions options_;
    const Cell* cell_;
    std::vector<ParameterOffsets> offsets_;
    std::vector<Parameter> parameters_;
    Index parameter_count_ = 0;
};

}  // namespace rnncore
