#include "rnn/draw.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <string>

#include "core/error.hpp"
#include "dispatch/dispatch.hpp"

namespace rnncore {
namespace {

// The first of the greatest. A model that has diverged shows here.
template <class T>
Index greatest(const T* logits, Index n) {
    Index best = 0;
    for (Index i = 0; i < n; ++i) {
        if (std::isnan(logits[i]) || logits[i] == std::numeric_limits<T>::infinity())
            throw Invalid("logits: expected finite numbers, got " + std::to_string(logits[i]) + " at [" +
                          std::to_string(i) + "]: the model's parameters or inputs are not finite");
        if (logits[i] > logits[best]) best = i;
    }
    return best;
}

}  // namespace

void check(const DrawOptions& options) {
    if (!(options.temperature >= 0 && std::isfinite(options.temperature)))
        throw Invalid("temperature: expected a finite number of at least 0, got " +
                      std::to_string(options.temperature));
    if (options.top_k < 0) throw Invalid("top_k: expected at least 0, got " + std::to_string(options.top_k));
    if (!(options.top_p > 0 && options.top_p <= 1))
        throw Invalid("top_p: expected a number in (0, 1], got " + std::to_string(options.top_p));
}

Drawer::Drawer(Index classes)
    : weights_(static_cast<std::size_t>(classes)), order_(static_cast<std::size_t>(classes)) {}

template <class T>
Index Drawer::draw(const T* logits, const DrawOptions& options, double uniform) {
    const auto classes = static_cast<Index>(weights_.size());
    const Index best = greatest(logits, classes);
    // a subnormal temperature counts as 0 where such numbers are flushed
    if (options.temperature < std::numeric_limits<double>::min()) return best;

    // weight = exp((z - max z) / temperature)
    const double shift = logits[best];
    for (Index i = 0; i < classes; ++i)
        weights_[static_cast<std::size_t>(i)] = (static_cast<double>(logits[i]) - shift) / options.temperature;
    kernels<double>().exp(weights_.data(), classes, weights_.data());

    const bool restricted = (options.top_k > 0 && options.top_k < classes) || options.top_p < 1;
    if (restricted) return draw_most_probable(options, uniform);
    const double total = std::accumulate(weights_.begin(), weights_.end(), 0.0);
    double sum = 0;
    for (std::size_t i = 0; i < weights_.size(); ++i) {
        sum += weights_[i];
        if (sum > uniform * total) return static_cast<Index>(i);
    }
    return best;  // not reached: the last sum is the total
}

// The candidates are taken from a heap, which costs less than sorting all classes where few remain.
Index Drawer::draw_most_probable(const DrawOptions& options, double uniform) {
    std::iota(order_.begin(), order_.end(), std::size_t{0});
    const auto less_probable = [this](std::size_t a, std::size_t b) {
        return weights_[a] != weights_[b] ? weights_[a] < weights_[b] : a > b;
    };
    std::make_heap(order_.begin(), order_.end(), less_probable);
    auto heap_end = order_.end();
    const auto take = [&] {
        std::pop_heap(order_.begin(), heap_end, less_probable);
        return weights_[*--heap_end];
    };
    // the i-th most probable class, of those taken
    const auto taken = [&](std::size_t i) { return order_[order_.size() - 1 - i]; };

    const bool counted = options.top_k > 0 && options.top_k < static_cast<Index>(order_.size());
    const std::size_t most = counted ? static_cast<std::size_t>(options.top_k) : order_.size();
    double total = 0;
    if (counted) {
        for (std::size_t i = 0; i < most; ++i) total += take();
    } else {
        total = std::accumulate(weights_.begin(), weights_.end(), 0.0);
    }
    // the fewest whose share of the total is top_p
    double kept = 0;
    std::size_t count = 0;
    while (count < most && (count == 0 || kept < options.top_p * total)) {
        if (!counted) take();
        kept += weights_[taken(count++)];
    }
    double sum = 0;
    for (std::size_t i = 0; i < count; ++i) {
        sum += weights_[taken(i)];
        if (sum > uniform * kept) return static_cast<Index>(taken(i));
    }
    return static_cast<Index>(taken(0));  // not reached: the last sum is what was kept
}

template Index Drawer::draw(const float*, const DrawOptions&, double);
template Index Drawer::draw(const double*, const DrawOptions&, double);

}  // namespace rnncore
