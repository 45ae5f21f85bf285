#include "rnn/decode/lexicon.hpp"

#include <algorithm>

namespace rnncore {
namespace {
const std::vector<std::int32_t> no_words;
}

void Lexicon::add(const std::int64_t* symbols, std::int64_t count, std::int32_t word) {
    std::int32_t node = kRoot;
    for (std::int64_t i = 0; i < count; ++i) {
        const auto next = static_cast<std::int32_t>(words_.size());
        const auto [at, is_new] = children_.emplace(key(node, static_cast<std::int32_t>(symbols[i])), next);
        if (is_new) words_.emplace_back();
        node = at->second;
    }
    auto& words = words_[static_cast<std::size_t>(node)];
    if (std::find(words.begin(), words.end(), word) == words.end()) words.push_back(word);
}

std::int32_t Lexicon::child(std::int32_t node, std::int32_t symbol) const {
    const auto found = node == kNowhere ? children_.end() : children_.find(key(node, symbol));
    return found == children_.end() ? kNowhere : found->second;
}

const std::vector<std::int32_t>& Lexicon::words(std::int32_t node) const {
    return node == kNowhere ? no_words : words_[static_cast<std::size_t>(node)];
}

}  // namespace rnncore
