// The configuration of a stacked, possibly bidirectional recurrent network and the layout of its flat parameter buffer.
#pragma once

#include <string>
#include <vector>

#include "kernels/table.hpp"

namespace rnncore {

enum class CellKind { rnn, gru_after, gru_before, lstm };

// Where one direction of one layer has its parameters in the flat buffer; PyTorch's names, shapes and order.
struct ParameterOffsets {
    Index weight_ih;  // [G*H, I]
    Index weight_hh;  // [G*H, H]
    Index bias_ih;    // [G*H]
    Index bias_hh;    // [G*H]
};

struct Parameter {
    std::string name;
    Index offset;
    std::vector<Index> shape;
};

struct NetworkOptions {
    std::string cell;  // "rnn_tanh" | "rnn_relu" | "rnn_sigmoid" | "rnn_identity" | "gru_after" | "gru_before" | "lstm"
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
    CellKind cell() const { return cell_; }
    Nonlinearity nonlinearity() const { return nonlinearity_; }
    bool bias() const { return options_.bias; }
    double dropout() const { return options_.dropout; }
    Compute compute() const { return options_.compute; }
    Index layers() const { return options_.layers; }
    Index directions() const { return options_.bidirectional ? 2 : 1; }
    Index hidden() const { return options_.hidden; }
    Index output() const { return directions() * hidden(); }  // D*H
    Index input(Index layer) const { return layer == 0 ? options_.input : output(); }

    Index gates() const { return cell_ == CellKind::rnn ? 1 : cell_ == CellKind::lstm ? 4 : 3; }
    Index gate_columns() const { return gates() * hidden(); }  // G*H
    // The columns whose recurrent product adds to the gates' sums; the GRU's last gate goes its own way.
    Index fused_columns() const { return has_extra() ? 2 * hidden() : gate_columns(); }
    bool has_gates() const { return cell_ != CellKind::rnn; }  // an Elman network's sums stand in its output
    bool has_extra() const { return cell_ == CellKind::gru_after || cell_ == CellKind::gru_before; }
    bool has_cell_state() const { return cell_ == CellKind::lstm; }
    Index states() const { return has_cell_state() ? 2 : 1; }

    ParameterOffsets offsets(Index layer, Index direction) const {
        return offsets_[static_cast<std::size_t>(layer * directions() + direction)];
    }
    const std::vector<Parameter>& parameters() const { return parameters_; }
    Index parameter_count() const { return parameter_count_; }

private:
    void add_layer(Index layer, Index direction);
    Index add(const std::string& name, std::vector<Index> shape);

    NetworkOptions options_;
    CellKind cell_ = CellKind::rnn;
    Nonlinearity nonlinearity_ = Nonlinearity::tanh;
    std::vector<ParameterOffsets> offsets_;
    std::vector<Parameter> parameters_;
    Index parameter_count_ = 0;
};

}  // namespace rnncore
