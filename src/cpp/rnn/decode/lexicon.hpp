// The words that a search knows, as a tree of their symbols.
#pragma once

#include <cstdint>
#include <unordered_map>
#include <vector>

namespace rnncore {

class Lexicon {
public:
    static constexpr std::int32_t kRoot = 0;
    static constexpr std::int32_t kNowhere = -1;

    // A word may have several spellings, and a spelling several words. Symbols are in [0, 2^31).
    void add(const std::int64_t* symbols, std::int64_t count, std::int32_t word);

    // The node after one more symbol, or kNowhere; from kNowhere always kNowhere.
    std::int32_t child(std::int32_t node, std::int32_t symbol) const;
    // The words that end at a node, in the order in which they were added.
    const std::vector<std::int32_t>& words(std::int32_t node) const;

private:
    static std::uint64_t key(std::int32_t node, std::int32_t symbol) {
        return static_cast<std::uint64_t>(static_cast<std::uint32_t>(node)) << 32 | static_cast<std::uint32_t>(symbol);
    }

    std::unordered_map<std::uint64_t, std::int32_t> children_;
    std::vector<std::vector<std::int32_t>> words_ = std::vector<std::vector<std::int32_t>>(1);  // by node
};

}  // namespace rnncore
