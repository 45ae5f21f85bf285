// Drawing a class from logits: softmax with temperature, cut to the most probable, inverse of the distribution
// function.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/table.hpp"

namespace rnncore {

struct DrawOptions {
    double temperature = 1;  // 0: the greatest logit, the first of equal ones
    Index top_k = 0;         // 0: all
    double top_p = 1;        // 1: all
};

// Invalid for a number outside its range.
void check(const DrawOptions& options);

// Draws from `classes` logits; its memory is taken once.
class Drawer {
public:
    explicit Drawer(Index classes);

    // The class at `uniform`, a number in [0, 1), of the distribution function. Invalid where a logit is not a number
    // or is infinite; minus infinity is probability 0.
    template <class T>
    Index draw(const T* logits, const DrawOptions& options, double uniform);

private:
    Index draw_most_probable(const DrawOptions& options, double uniform);

    std::vector<double> weights_;     // probabilities times a constant
    std::vector<std::size_t> order_;  // of classes: a heap, behind it those taken from it, the most probable last
};

}  // namespace rnncore
