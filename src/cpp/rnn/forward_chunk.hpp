// One chunk of time of one task in one layer of a pass forward.
#pragma once

#include "rnn/cells/step.hpp"
#include "rnn/plan.hpp"
#include "rnn/tape.hpp"

namespace rnncore {

// What all chunks of a pass have in common.
template <class T>
struct ForwardPass {
    const Tape<T>& tape;
    const PassKernels<T>& kernels;
    const ForwardPlan& plan;
    const T* params;
    const std::vector<T*>& final_state;
    const T* tables[2] = {};  // by direction, of one-hot inputs: the sums of each id that is there

    const Network& network() const { return tape.network; }
    const Sequence& sequence() const { return tape.sequence; }
    bool one_hot(Index layer) const { return layer == 0 && tape.one_hot; }

    // Dropout of some of a layer's outputs, as the next layer reads them.
    void drop(Index layer, const Range& part) const;
};

// What a chunk needs besides the tape.
template <class T>
struct ForwardScratch {
    T* gates;             // the sums of its rows, where the tape does not keep them
    T* extra;             // and the extra vector of a step
    RowBlock<T>* blocks;  // of the input product, one for each step
    T* piece;             // [ForwardPlan::piece_size]
};

template <class T>
class ForwardChunk {
public:
    ForwardChunk(const ForwardPass<T>& pass, const ForwardTask& task, Index layer, Index number,
                 const ForwardWeights<T>& weights, const ForwardScratch<T>& scratch, const UnitShare& share)
        : pass_(pass),
          net_(pass.network()),
          seq_(pass.sequence()),
          layer_(layer),
          tape_(pass.tape.layers[static_cast<std::size_t>(layer)]),
          task_(task.rows),
          order_{seq_.steps(), task.rows.direction == 1},
          chunk_(chunk_at(order_, number, task.chunk_steps)),
          is_first_(number == 0),
          weights_(weights),
          scratch_(scratch),
          share_(share) {}

    // The input product, the steps and the final states of sequences that end here; whether to go on.
    bool run(const Worker& worker) const;

private:
    const DirectionTape<T>& tape() const { return tape_.directions[task_.direction]; }
    bool sums_in_output() const { return net_.kept_gates() == 0; }
    Index ld_y() const { return net_.output(); }
    Index ld_sums() const { return sums_in_output() ? ld_y() : row_pitch<T>(net_.gate_columns()); }

    // Where row b stands at time t.
    T* y_row(Index t, Index b) const;
    T* sums_row(Index t, Index b) const;
    T* extra_row(Index t, Index b) const;
    T* cell_row(Index t, Index b) const;
    const T* state_row(Index which, Index t, Index b) const { return which == 0 ? y_row(t, b) : cell_row(t, b); }
    const T* initial_row(Index which, Index b) const;

    void multiply_input() const;
    Index find_blocks() const;
    void look_up(Index t, Index end) const;
    Index steps_at_once(Index t) const;
    void run_steps(Index t, Index count) const;
    void drop(Index t) const;
    void write_final_state() const;

    // The columns of the sums that belong to this thread's units.
    template <class Run>
    void for_columns(Index k, const Run& run) const {
        for_gate_columns(weights_.gates, *weights_.whole, k, net_.gate_columns(), net_.units(), share_.units, run);
    }

    const ForwardPass<T>& pass_;
    const Network& net_;
    const Sequence& seq_;
    const Index layer_;
    const LayerTape<T>& tape_;
    const RowTask& task_;
    const TimeOrder order_;
    const Chunk chunk_;
    const bool is_first_;
    const ForwardWeights<T>& weights_;
    const ForwardScratch<T> scratch_;
    const UnitShare share_;
};

}  // namespace rnncore
