#include "rnn/decode/hot_words.hpp"

#include <algorithm>

namespace rnncore {

void HotWords::add(const std::int64_t* tokens, std::int64_t count, double weight) {
    std::int32_t node = kRoot;
    for (std::int64_t i = 0; i < count; ++i) {
        const auto token = static_cast<std::int32_t>(tokens[i]);
        const auto next = static_cast<std::int32_t>(nodes_.size());
        const auto [at, is_new] = children_.emplace(key(node, token), next);
        if (is_new) nodes_.push_back({node, token, static_cast<std::int32_t>(i + 1)});
        node = at->second;
        if (i + 1 < count) {
            Node& inner = nodes_[static_cast<std::size_t>(node)];
            inner.advance = std::max(inner.advance, weight * static_cast<double>(i + 1) / static_cast<double>(count));
        }
    }
    nodes_[static_cast<std::size_t>(node)].weight += weight;
}

void HotWords::finish() {
    std::vector<std::int32_t> order(nodes_.size());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = static_cast<std::int32_t>(i);
    const auto depth = [&](std::int32_t i) { return nodes_[static_cast<std::size_t>(i)].depth; };
    std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) { return depth(a) < depth(b); });
    for (const std::int32_t i : order) {
        Node& node = nodes_[static_cast<std::size_t>(i)];
        if (node.depth < 2) continue;  // whose shorter node is the root, without a weight
        std::int32_t from = node.parent;
        do {
            from = nodes_[static_cast<std::size_t>(from)].shorter;
            const auto found = children_.find(key(from, node.token));
            if (found != children_.end()) {
                node.shorter = found->second;
                break;
            }
        } while (from != kRoot);
        const Node& shorter = nodes_[static_cast<std::size_t>(node.shorter)];
        node.weight += shorter.weight;
        node.advance = std::max(node.advance, shorter.advance);
    }
    for (const Node& node : nodes_) most_ = std::max(most_, node.weight + node.advance);
}

HotWords::Step HotWords::step(std::int32_t state, std::int32_t token) const {
    const double before = nodes_[static_cast<std::size_t>(state)].advance;
    for (;; state = nodes_[static_cast<std::size_t>(state)].shorter) {
        if (const auto found = children_.find(key(state, token)); found != children_.end()) {
            const Node& node = nodes_[static_cast<std::size_t>(found->second)];
            return {found->second, node.weight + node.advance - before};
        }
        if (state == kRoot) return {kRoot, -before};
    }
}

}  // namespace rnncore
