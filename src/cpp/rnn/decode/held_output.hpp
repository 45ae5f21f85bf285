// An output layer with softmax for decoding: log-probabilities of z = y W^T + b in blocks of classes, so that z [N,V]
// is not held where few of them are wanted. Weights are packed once. The bits of a row do not depend on the other rows.
#pragma once

#include <cstdint>
#include <vector>

#include "rnn/decode/choose.hpp"
#include "rnn/matrix.hpp"
#include "rnn/stored.hpp"

namespace rnncore {

template <class T>
class HeldOutput {
public:
    // weight [V,H], bias [V] or null; copied
    HeldOutput(const Matrix<const T>& weight, const T* bias, Storage storage);

    Index classes() const { return classes_; }
    Index width() const { return width_; }

    // Any thread may call these at any time; y [N,H].
    void log_probabilities(const Matrix<const T>& y, T* to) const;  // [N,V]
    // The k greatest log-probabilities [N,k] of each row and their classes; of equal ones the first.
    void top(const Matrix<const T>& y, Index k, double* values, std::int64_t* ids) const;
    // to[i] = log-probability of class targets[i] after row n, for i within [begins[n], begins[n + 1])
    void of(const Matrix<const T>& y, const std::int64_t* begins, const std::int64_t* targets, double* to) const;

private:
    class Pass;

    const KernelTable* table_;
    const StorageKernels<T>* stored_;  // null: packed for the products of many rows
    Index classes_, width_;
    Arena arena_;
    PackedMatrix<T> packed_;
    StoredMatrix<T> narrow_;
    Arena::Slot<T> bias_;
};

}  // namespace rnncore
