// Nodes that refer to their parents and live as long as something refers to them: what the hypotheses of a beam have in
// common is held once, and what no hypothesis has any more is freed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace rnncore {

// A Node has the members `parent`, kNone for none, and `references`.
template <class Node>
class Forest {
public:
    using Id = std::int32_t;
    static constexpr Id kNone = -1;

    // A node with one reference, that of the caller.
    Id add(const Node& node) {
        Id id;
        if (free_.empty()) {
            free_.reserve(nodes_.size() + 1);  // so that release() need not allocate
            id = static_cast<Id>(nodes_.size());
            nodes_.push_back(node);
        } else {
            id = free_.back();
            free_.pop_back();
            nodes_[static_cast<std::size_t>(id)] = node;
        }
        (*this)[id].references = 1;
        hold(node.parent);
        return id;
    }

    void hold(Id id) {
        if (id != kNone) ++(*this)[id].references;
    }

    // Calls freed(id) for each node that nothing refers to any more, while its members are still there.
    template <class Freed>
    void release(Id id, const Freed& freed) {
        while (id != kNone && --(*this)[id].references == 0) {
            freed(id);
            free_.push_back(id);
            id = (*this)[id].parent;
        }
    }

    Node& operator[](Id id) { return nodes_[static_cast<std::size_t>(id)]; }
    const Node& operator[](Id id) const { return nodes_[static_cast<std::size_t>(id)]; }
    std::size_t size() const { return nodes_.size() - free_.size(); }  // nodes that live

private:
    std::vector<Node> nodes_;
    std::vector<Id> free_;
};

}  // namespace rnncore
