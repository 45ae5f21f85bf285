// What a pass will do: how many threads there are, what they divide, in which pieces, and what is packed when. A plan
// is made once, before anything is computed, from sizes and the properties of the kernels; forward.cpp and backward.cpp
// carry it out. No plan changes the bits of a result.
#pragma once

#include <vector>

#include "rnn/kernel_choice.hpp"
#include "rnn/network.hpp"
#include "rnn/schedule.hpp"
#include "rnn/sequence.hpp"

namespace rnncore {

// What the threads of a pass divide.
enum class Division {
    rows,    // Each takes the tasks of some rows through all steps, waiting for nobody.
    units,   // Each computes some units of all rows, and waits for the others after every step.
    layers,  // Forward: each takes some layers, a chunk behind the layer below, and waits once a chunk.
};

// Some rows of one direction, which one thread takes through the steps of a layer; with Division::units, all threads.
struct ForwardTask {
    RowTask rows;
    Index chunk_steps, chunks;  // one chunk at least: the first writes the final states of empty sequences
};

struct ForwardPlan {
    int threads;
    Division division;
    bool steps_in_one_call;  // a kernel takes all steps of a chunk whose rows are the same
    std::vector<ForwardTask> tasks;
    // By layer, columns of W_ih that a thread packs at a time, just before it multiplies with them. 0: the matrix is
    // packed whole, before the first step, or not at all.
    std::vector<Index> piece_columns;
    Index piece_size;  // elements of the largest piece

    Index task_count() const { return static_cast<Index>(tasks.size()); }
    bool by_units() const { return division == Division::units; }
    bool by_layers() const { return division == Division::layers; }
    Index threads_of_task() const { return by_units() ? threads : 1; }
    bool packs_pieces(Index layer) const { return piece_columns[static_cast<std::size_t>(layer)] > 0; }
};

struct ForwardCase {
    bool one_hot = false;         // the inputs are: the first layer looks up rows instead of multiplying
    bool drops_in_place = false;  // dropout in the outputs that a layer's own next step reads waits for the layer's end
    bool frozen = false;          // the weights are packed already
};

template <class T>
ForwardPlan plan_forward(const Network& network, const PassKernels<T>& kernels, const Sequence& sequence,
                         const ForwardCase& given);

struct BackwardPlan {
    int threads;
    Division division;  // not layers
    Index chunk_steps, chunks;
    // A chunk goes down through all layers before the next begins; otherwise each layer finishes first.
    bool layers_together;
    bool repacks;  // the layers take turns with one place for packed weights, filled anew for every chunk
    std::vector<std::vector<RowTask>> tasks;  // by chunk, in the order of the pass forward

    bool by_units() const { return division == Division::units; }
};

// Tasks of about equal numbers of steps, of one chunk of each direction.
std::vector<RowTask> divide_rows(const Sequence& sequence, const std::vector<Chunk>& by_direction, int threads);

// `source_flops`: of what makes the gradient of the outputs, during the pass.
BackwardPlan plan_backward(const Network& network, const Sequence& sequence, bool one_hot, double source_flops);

}  // namespace rnncore
