// An output layer with its loss, as Python gives it: weights, targets, and where the gradients go. See rnn/head.hpp.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "bindings/arrays.hpp"
#include "bindings/compute.hpp"
#include "rnn/head.hpp"
#include "rnn/sequence.hpp"

namespace rnncore::bindings {

struct PyTargets {
    LossKind kind;
    py::object values;     // integers [rows], or numbers [rows, V]
    py::object weights;    // [rows], or None
    std::int64_t ignored;  // class of a row without loss
    double smoothing;      // of labels, in gradients
};

struct PyLossHead {
    py::object weight, bias;    // [V,H], [V] or None
    py::object dweight, dbias;  // added to; None where only losses are asked for
    PyTargets targets;
    double scale;        // of the gradients: 1/count for those of the mean
    double dropout;      // of y, probability
    std::uint64_t seed;  // of its mask
    ComputeName compute;
};

LossKind loss_named(const std::string& name);

// Targets of rows that are named by one or two dimensions, checked.
template <class T>
class CheckedTargets {
public:
    CheckedTargets(const PyTargets& given, const Shape& rows, Index width);

    // As rows [N] in their order, and as the packed rows of a sequence; both live as long as this. Without the
    // interpreter's lock.
    RowTargets<T> in_order();
    RowTargets<T> packed(const Sequence& sequence);

private:
    RowTargets<T> rows() const;

    LossKind kind_;
    Index width_;
    std::int64_t ignored_;
    double smoothing_;
    std::vector<std::int64_t> classes_;
    View<T> values_, weights_;
    Block values_copy_, weights_copy_;
};

// The output layer's weights and gradients, checked; contiguous copies live as long as this.
template <class T>
class CheckedHead {
public:
    CheckedHead(const PyLossHead& given, Dimension hidden);

    Index outputs() const { return weight_.shape[0]; }
    Matrix<const T> weight() const { return rows_->matrix(); }
    const T* bias() const { return values_->data(); }
    LinearLossGradients<T> gradients() const { return gradients_; }
    void copy();  // where needed; without the interpreter's lock, before weight and bias are read

private:
    View<T> weight_, bias_;
    LinearLossGradients<T> gradients_;
    std::optional<Rows<T>> rows_;
    std::optional<Contiguous<T>> values_;
};

}  // namespace rnncore::bindings
