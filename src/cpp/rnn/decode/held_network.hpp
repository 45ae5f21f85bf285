// A network that takes single steps of any number of rows, whose states the caller holds: for decoding, where rows are
// continued several times or not at all. Weights are packed once. The bits of a row do not depend on the other rows.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "rnn/stream.hpp"

namespace rnncore {

// One step of N rows.
template <class T>
struct HeldStep {
    Index rows;
    const T* x;                      // [N,I], or
    const std::int64_t* ids;         // [N], each within [0, I) or [0, V)
    std::vector<const T*> before;    // by state: [L,M,H]; none: zero
    Index before_rows;               // M
    const std::int64_t* before_row;  // [N], each within [0, M): the row that each continues; null: row n
    std::vector<T*> after;           // by state: [L,N,H]
    T* y;                            // [N,H]
};

template <class T>
class HeldNetwork {
public:
    // options.batch does not count. Invalid for a bidirectional network.
    HeldNetwork(const Network& network, const T* params, const StreamOptions<T>& options);
    ~HeldNetwork();
    HeldNetwork(const HeldNetwork&) = delete;
    HeldNetwork& operator=(const HeldNetwork&) = delete;

    const Network& network() const { return weights_.network(); }
    // Any thread may call at any time.
    void step(const HeldStep<T>& s) const;

private:
    using Streams = std::vector<std::unique_ptr<Stream<T>>>;  // of each thread: its rows

    void step(const HeldStep<T>& s, Range rows, Stream<T>& stream) const;

    Stream<T> weights_;
    // Working memory that a call has left for the next one. Nobody waits for it, so that a fork cannot leave it locked.
    mutable std::atomic<Streams*> spare_{nullptr};
};

}  // namespace rnncore
