// The configuration of a decoder whose step reads the context of the step before, and where its parameters stand.
//     input feeding (Luong et al. 2015):  h = cell([x; a'], h'),  c = attend(h),  a = tanh(W_c [c; h] + b_c),  y = a
//     conditional (Bahdanau et al. 2015): q = cell_1(x, s'),      c = attend(q),  s = cell_2(c, q),            y = s
// where ' is the step before.
#pragma once

#include <optional>

#include "rnn/attention/attention.hpp"
#include "rnn/network.hpp"

namespace rnncore {

enum class Feeding { input, conditional };

struct AttentionRnnOptions {
    std::string cell;  // the name of a Cell
    Index input = 0, hidden = 0, memory = 0;
    Feeding feeding = Feeding::input;
    bool outputs_context = false;  // y is followed by c
    bool bias = true;
    AttentionOptions attention;  // without its sizes
    Compute compute = Compute::full;
};

class AttentionRnn {
public:
    explicit AttentionRnn(const AttentionRnnOptions& options);

    const AttentionRnnOptions& options() const { return options_; }
    bool feeds_input() const { return options_.feeding == Feeding::input; }

    const Network& first() const { return first_; }    // reads x, and with input feeding a'
    const Network& second() const { return *second_; }  // conditional only: reads c
    const AttentionLayer& attention() const { return attention_; }

    Index input() const { return options_.input; }                                         // I
    Index hidden() const { return options_.hidden; }                                       // H
    Index memory() const { return options_.memory; }                                       // M
    Index joint() const { return memory() + hidden(); }                                    // of [c; h]
    Index output() const { return hidden() + (options_.outputs_context ? memory() : 0); }  // of y

    // h (and c of an LSTM), with input feeding followed by a; each [B,H].
    Index states() const { return first_.states() + (feeds_input() ? 1 : 0); }
    Index attentional() const { return first_.states(); }  // which state is a

    // The parts' parameters follow each other in the flat buffer.
    Index parameter_count() const { return last_offset() + last_count(); }
    Index attention_offset() const { return first_.parameter_count(); }
    Index last_offset() const { return attention_offset() + attention_.parameter_count(); }  // of `second`, or W_c
    Index combine_bias_offset() const { return last_offset() + hidden() * joint(); }

private:
    Index last_count() const {
        if (second_) return second_->parameter_count();
        return hidden() * (joint() + (options_.bias ? 1 : 0));
    }

    AttentionRnnOptions options_;
    Network first_;
    std::optional<Network> second_;
    AttentionLayer attention_;
};

}  // namespace rnncore
