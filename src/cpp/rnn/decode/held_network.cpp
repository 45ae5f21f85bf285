#include "rnn/decode/held_network.hpp"

#include <algorithm>

namespace rnncore {
namespace {

// Rows of one thread, in multiples of this: the products of few rows take so many at once.
constexpr Index kRowUnit = 3;

double flops(const Network& network, Index rows) {
    return 2.0 * static_cast<double>(rows) * static_cast<double>(network.parameter_count());
}

}  // namespace

template <class T>
HeldNetwork<T>::HeldNetwork(const Network& network, const T* params, const StreamOptions<T>& options)
    : weights_(network, params, {1, options.storage, options.embedding}) {}

template <class T>
HeldNetwork<T>::~HeldNetwork() {
    delete spare_.load();
}

template <class T>
void HeldNetwork<T>::step(const HeldStep<T>& s) const {
    weights_.require_same_kernels();
    if (s.rows == 0) return;
    const auto threads = static_cast<int>(std::min<Index>(threads_for(flops(network(), s.rows)), s.rows));
    std::unique_ptr<Streams> streams(spare_.exchange(nullptr));
    if (!streams) streams = std::make_unique<Streams>();
    while (static_cast<int>(streams->size()) < threads) streams->push_back(std::make_unique<Stream<T>>(weights_));
    for (int i = 0; i < threads; ++i) {
        const Range mine = share(s.rows, i, threads, kRowUnit);
        (*streams)[static_cast<std::size_t>(i)]->set_batch(std::max<Index>(mine.last - mine.first, 1));
    }
    run_parallel(threads, [&](int thread, Team& team) {
        // with fewer threads than were asked for, each takes the shares of several
        for (int i = thread; i < threads; i += team.size())
            step(s, share(s.rows, i, threads, kRowUnit), *(*streams)[static_cast<std::size_t>(i)]);
    });
    delete spare_.exchange(streams.release());
}

template <class T>
void HeldNetwork<T>::step(const HeldStep<T>& s, Range rows, Stream<T>& stream) const {
    const Index count = rows.last - rows.first;
    if (count <= 0) return;
    const Network& n = network();
    if (s.before.empty()) stream.reset();
    for (std::size_t i = 0; i < s.before.size(); ++i) {
        const Index width = n.state(static_cast<Index>(i));
        for (Index layer = 0; layer < n.layers(); ++layer) {
            for (Index r = 0; r < count; ++r) {
                const Index from = s.before_row ? s.before_row[rows.first + r] : rows.first + r;
                std::copy_n(s.before[i] + (layer * s.before_rows + from) * width, width,
                            stream.state(static_cast<Index>(i)) + (layer * count + r) * width);
            }
        }
    }
    T* const y = s.y + rows.first * n.output();
    if (s.ids)
        stream.advance_ids(s.ids + rows.first, 1, y);
    else
        stream.advance(s.x + rows.first * n.input(0), 1, y);
    for (std::size_t i = 0; i < s.after.size(); ++i) {
        const Index width = n.state(static_cast<Index>(i));
        for (Index layer = 0; layer < n.layers(); ++layer)
            std::copy_n(stream.state(static_cast<Index>(i)) + layer * count * width, count * width,
                        s.after[i] + (layer * s.rows + rows.first) * width);
    }
}

template class HeldNetwork<float>;
template class HeldNetwork<double>;

}  // namespace rnncore
