// What the passes know of a cell. Each cell is described by one file of this folder, and cells/table.cpp lists them
// by name. A new cell needs its file, its row there, and its arithmetic in kernels/.
#pragma once

#include <string>

#include "kernels/table.hpp"

namespace rnncore {

template <class T>
struct ForwardWeights;
template <class T>
struct BackwardWeights;
struct UnitShare;

// The products of one step with parts of W_hh [G*H, R], and the states.
inline constexpr int kMostRecurrentProducts = 2;
inline constexpr int kMostStates = 2;
inline constexpr int kMostGates = 4;

// A product with the rows of W_hh that belong to some consecutive gates.
struct RecurrentProduct {
    // What the rows are multiplied with, and so the second factor of their gradient.
    enum class Operand { state, extra };  // h_prev; the vector `extra` that the step has made of it
    // What the result is added to, bias_hh with it. Its gradient is the first factor of that of the rows.
    enum class Result { sums, extra };  // the sums of the gates; a vector of its own, `extra`

    Index first_gate, gates;
    Operand operand = Operand::state;
    Result result = Result::sums;
};

// The steps of a cell for one type of elements. `hidden` of the structures is the number of units.
template <class T>
struct CellSteps {
    // One step. s.gates holds the input's part of the sums (of a cell with sums_in_output: s.h does). The h of the step
    // before must be whole: after each step, and before the first, the threads of a share wait.
    void (*forward)(const ForwardWeights<T>& weights, CellForward<T> s, const UnitShare& share);
    // Several steps with weights in a storage.
    void (*forward_steps)(const StorageKernels<T>& kernels, const LayerSteps<T>& s);
    // s.dh becomes the gradient of h_prev, s.dgates are whole at the end; returns the answer of the last wait.
    bool (*backward)(const BackwardWeights<T>& weights, CellBackward<T> s, const UnitShare& share);
};

struct Cell {
    const char* name;
    Index gates;                         // G
    const char* gate_names[kMostGates];  // in the order of their rows in the weights
    bool sums_in_output;  // the sums of the one gate stand where its output will; the tape keeps no gates
    bool has_extra;       // the step makes a vector `extra` [H] beside the gates, which the tape keeps
    Index states;         // 1: the output h; 2: and a vector c of its own
    Index product_count;  // of `products`
    RecurrentProduct products[kMostRecurrentProducts];  // those of the operand `state` first
    CellSteps<float> f32;
    CellSteps<double> f64;

    const RecurrentProduct* begin() const { return products; }
    const RecurrentProduct* end() const { return products + product_count; }

    template <class T>
    const CellSteps<T>& steps() const;
};

template <>
inline const CellSteps<float>& Cell::steps() const {
    return f32;
}
template <>
inline const CellSteps<double>& Cell::steps() const {
    return f64;
}

// Throws Invalid, with the known names.
const Cell& find_cell(const std::string& name);

}  // namespace rnncore
