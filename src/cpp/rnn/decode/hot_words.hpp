// Patterns whose every occurrence adds to the score of what contains it: an automaton that finds all of them in one
// pass (Aho and Corasick 1975, Communications of the ACM 18).
#pragma once

#include <cstdint>
#include <unordered_map>
#include <vector>

namespace rnncore {

class HotWords {
public:
    static constexpr std::int32_t kRoot = 0;

    // Tokens are in [0, 2^31), at least one.
    void add(const std::int64_t* tokens, std::int64_t count, double weight);
    void finish();  // after the last pattern

    // A pattern that is read in part has its share of a positive weight already, so that a beam keeps it; what does not
    // become whole gives it back. The sum over all steps and give_back() at the end is that of all occurrences.
    struct Step {
        std::int32_t state;
        double bonus;
    };
    Step step(std::int32_t state, std::int32_t token) const;
    double give_back(std::int32_t state) const { return -nodes_[static_cast<std::size_t>(state)].advance; }

    double most() const { return most_; }  // that one step can add

private:
    struct Node {
        std::int32_t parent, token, depth;
        std::int32_t shorter = kRoot;  // the longest other node whose tokens these end in
        double weight = 0;             // of the patterns that end here, those of shorter nodes included
        double advance = 0;            // share of the best pattern that is read in part
    };

    static std::uint64_t key(std::int32_t node, std::int32_t token) {
        return static_cast<std::uint64_t>(static_cast<std::uint32_t>(node)) << 32 | static_cast<std::uint32_t>(token);
    }

    std::unordered_map<std::uint64_t, std::int32_t> children_;
    std::vector<Node> nodes_{{kRoot, -1, 0}};
    double most_ = 0;
};

}  // namespace rnncore
