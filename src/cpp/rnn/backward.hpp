// Back-propagation through time over a tape.
#pragma once

#include "rnn/matrix.hpp"
#include "rnn/tape.hpp"

namespace rnncore {

// A gradient of the outputs that is made piece by piece, from the last rows to the first, as the pass comes to them: so
// it is never held whole. All threads of the pass call begin and write; `rows` bounds a piece.
template <class T>
class OutputGradient {
public:
    virtual ~OutputGradient() = default;
    virtual double flops(Index rows) const = 0;
    virtual Index product_scratch_bytes() const = 0;  // of each worker
    // Returns the mark from which on memory is used within `write` only.
    virtual std::size_t reserve(Arena& arena, Index rows, int threads) = 0;
    virtual void begin(const Arena& arena, const Worker& worker) const = 0;  // a barrier follows
    // dy of the outputs y, the packed rows from `first` on; ends with a barrier
    virtual void write(const Arena& arena, Index first, const Matrix<const T>& y, const Matrix<T>& dy,
                       const Worker& worker) const = 0;
};

template <class T>
struct BackwardInput {
    const T* dy = nullptr;                // [N, D*H] packed rows; null: zero, or made by `source`
    OutputGradient<T>* source = nullptr;  // null: dy
    std::vector<const T*> dstate;         // per state [L*D, B, H], gradient of the final state; empty: zero
};

template <class T>
struct BackwardOutput {
    T* grads;                // [P], added to
    T* dx;                   // [N, I] packed rows; null: not wanted (one-hot inputs have none)
    std::vector<T*> dstate;  // per state [L*D, B, H], gradient of the initial state
    T* table = nullptr;      // one-hot inputs: sums of da [U, G*H] for the caller to scatter; null: done by the pass
};

template <class T>
void run_backward(const Tape<T>& tape, const T* params, const BackwardInput<T>& input, const BackwardOutput<T>& output);

}  // namespace rnncore
