// The configuration of a decoder whose step reads the context of the step before:
//     input feeding (Luong et al. 2015):  h = cell([x; a'], h'),  c = attend(h),  a = tanh(W_c [c; h] + b_c),  y = a
//     conditional (Bahdanau et al. 2015): q = cell_1(x, s'),      c = attend(q),  s = cell_2(c, q),            y = s
// where ' is the step before.
#pragma once

#include <optional>

#include "rnn/network.hpp"

namespace rnncore {

enum class Feeding { input, conditional };

struct AttentionRnnOptions {
    std::string cell;  // the name of a Cell
    Index input = 0, hidden = 0;
    Index context = 0;  // width C of what the attention returns
    Feeding feeding = Feeding::input;
    bool outputs_context = false;  // y is followed by c
    bool bias = true;
    Compute compute = Compute::full;
};

class AttentionRnn {
public:
    explicit AttentionRnn(const AttentionRnnOptions& options);

    const AttentionRnnOptions& options() const { return options_; }
    bool feeds_input() const { return options_.feeding == Feeding::input; }

    const Network& first() const { return first_; }     // reads x, with input feeding [x; a']
    const Network& second() const { return *second_; }  // conditional only: reads c
    int cells() const { return second_ ? 2 : 1; }
    const Network& cell(int i) const { return i == 0 ? first() : second(); }

    Index input() const { return options_.input; }                                          // I
    Index hidden() const { return options_.hidden; }                                        // H
    Index context() const { return options_.context; }                                      // C
    Index joint() const { return joint_; }                                                  // C+H: of [c; h]
    Index output() const { return hidden() + (options_.outputs_context ? context() : 0); }  // of y

    // h (and c of an LSTM), with input feeding followed by a; each [B,H].
    int states() const { return static_cast<int>(first_.states()) + (feeds_input() ? 1 : 0); }
    int attentional() const { return static_cast<int>(first_.states()); }  // which state is a

    // Elements of W_c [H, C+H] and b_c [H], or of the parameters of the second cell.
    Index last_count() const;

private:
    AttentionRnnOptions options_;
    Index joint_;
    Network first_;
    std::optional<Network> second_;
};

// The parameters, or the gradients that are added to.
template <class T>
struct AttentionRnnArrays {
    T* first = nullptr;         // of the first cell
    T* last = nullptr;          // of the second cell, or W_c and behind it b_c
    T* query_weight = nullptr;  // W_q [A, H], by which queries are compared; null: as they are
    T* query_bias = nullptr;    // [A]; null: none
    T* v = nullptr;             // [A] of additive scores; null: others

    T* combine_bias(const AttentionRnn& layer) const {
        return layer.options().bias ? last + layer.hidden() * layer.joint() : nullptr;
    }
};

}  // namespace rnncore
