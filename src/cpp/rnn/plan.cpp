#include "rnn/plan.hpp"

#include <algorithm>

#include "core/threads.hpp"
#include "rnn/weights.hpp"

namespace rnncore {
namespace {

// Fewer rows than this read all weights for little work: the time of a step hardly shrinks.
constexpr Index kFewestRows = 4;

// --- how long it takes ---------------------------------------------------------------------------

// Rows of products that take as long as the recurrent ones: a step of few rows takes the time of reading its weights.
Index rows_worth(const Sequence& sequence) {
    const Index longest = sequence.batch() > 0 ? sequence.length(0) : 0;
    return std::max(sequence.rows(), kFewestRows * longest);
}

// Width of the product with a layer's inputs; 0 if there is none.
Index input_width(const Network& network, Index layer, bool one_hot) {
    return layer == 0 && one_hot ? 0 : network.input(layer);
}

double forward_flops(const Network& network, const Sequence& sequence, bool one_hot) {
    double sum = 0;
    for (Index layer = 0; layer < network.layers(); ++layer)
        sum += static_cast<double>(input_width(network, layer, one_hot)) * static_cast<double>(sequence.rows()) +
               static_cast<double>(network.recurrent()) * static_cast<double>(rows_worth(sequence));
    return 2 * sum * static_cast<double>(network.gate_columns() * network.directions());
}

double backward_flops(const Network& network, const Sequence& sequence, bool one_hot) {
    double per_row = 0;
    for (Index layer = 0; layer < network.layers(); ++layer)
        per_row += static_cast<double>(input_width(network, layer, one_hot)) + static_cast<double>(network.recurrent());
    return 4 * per_row * static_cast<double>(network.gate_columns() * network.directions()) *
           static_cast<double>(sequence.rows());
}

// --- what the threads divide ---------------------------------------------------------------------

// Whether there are more threads than tasks of rows.
bool lacks_rows(const Sequence& sequence, int threads) {
    return threads > 1 && sequence.batch() < kFewestRows * threads;
}

// Where there are few rows, the time of a step is that of reading the weights, of which each thread then reads a part.
bool divides_units(const Network& network, const Sequence& sequence, int threads) {
    if (network.directions() > 1 || !lacks_rows(sequence, threads)) return false;
    // Measured: reading a weight takes as long as some four rows' products with it; what a thread spares by leaving
    // part of the weights to others must pay for the wait at the end of the step.
    constexpr double kSecondsPerWeight = 4e-11, kSecondsPerWait = 5e-7;
    const double step = kSecondsPerWeight * static_cast<double>(network.gate_columns() * network.recurrent());
    return step * (threads - 1) / threads > 2 * kSecondsPerWait;
}

// Steps of a chunk where layers follow each other by one. At first and at last some layers have nothing to do, so that
// there should be many chunks.
Index staggered_steps(const Sequence& sequence) {
    constexpr Index kFewest = 8, kChunks = 32;
    return std::min(chunk_steps(sequence.steps(), sequence.batch()), std::max(sequence.steps() / kChunks, kFewest));
}

// Threads that divide the layers wait once a chunk, and each reads the weights of its layers only.
bool divides_layers(const Network& network, const Sequence& sequence, bool one_hot, int threads) {
    if (network.directions() > 1 || network.layers() == 1 || !lacks_rows(sequence, threads)) return false;
    // a layer with much wider inputs than the others would take most of the time
    const bool alike = input_width(network, 0, one_hot) <= 2 * network.recurrent();
    if (!alike || chunk_count(sequence.steps(), staggered_steps(sequence)) < 2 * network.layers()) return false;
    // Measured: better than units where every thread has as many layers, of so few recurrent weights that they stay in
    // the L2 cache.
    constexpr Index kNearWeights = Index{160} << 10;
    const bool near = network.gate_columns() * network.recurrent() <= kNearWeights;
    return (near && network.layers() % threads == 0) || !divides_units(network, sequence, threads);
}

// --- what is packed when -------------------------------------------------------------------------

// Whether W_ih is packed piece by piece, each by the thread that multiplies with it and just before it does. A whole
// packed matrix is written to an outer cache and read from there; pieces are not, but are packed anew in every chunk,
// which pays for one chunk and, of far weights, for two (measured on a Zen 4). It does not where threads would be idle
// meanwhile, nor for kernels that would make squares of the rows anew for every piece, nor for the short chunks of
// staggered layers.
template <class T>
bool takes_pieces(const ForwardPlan& plan, const Network& network, const PassKernels<T>& kernels,
                  const Sequence& sequence, Index layer) {
    const auto bytes = static_cast<std::size_t>(network.input(layer) * network.gate_columns()) * sizeof(T);
    const Index chunks = chunk_count(sequence.steps(), chunk_steps(sequence.steps(), sequence.batch()));
    const bool all_work = plan.by_units() || plan.threads <= plan.task_count();
    const bool all_rows = plan.task_count() == network.directions();
    return !kernels.whole.makes_squares && !plan.by_layers() && all_work && all_rows &&
           chunks <= (bytes > kFarWeightBytes ? 2 : 1);
}

// Filling the one place anew takes a hundredth of a chunk's time, where its rows are many, as in a long ragged batch
// they may not be.
bool repacks(const Network& network, const Sequence& sequence, const BackwardPlan& plan) {
    constexpr Index kRows = 256;
    return plan.layers_together && network.layers() > 1 && kRows * plan.chunks <= sequence.rows();
}

}  // namespace

std::vector<RowTask> divide_rows(const Sequence& sequence, const std::vector<Chunk>& by_direction, int threads) {
    const auto directions = static_cast<Index>(by_direction.size());
    const Index wanted = std::max<Index>(threads % directions == 0 ? threads / directions : threads, 1);
    std::vector<RowTask> tasks;
    for (Index direction = 0; direction < directions; ++direction) {
        const Chunk chunk = by_direction[static_cast<std::size_t>(direction)];
        const Index active = chunk.lo < chunk.hi ? sequence.active(chunk.lo) : 0;
        const Index steps = sequence.first(chunk.hi) - sequence.first(chunk.lo);
        const Index parts = std::clamp<Index>(active / kFewestRows, 1, wanted);
        Index begin = 0, part = 1, passed = 0;
        for (Index b = 0; b < active && part < parts; ++b) {
            passed += std::min(sequence.length(b), chunk.hi) - chunk.lo;
            if (passed * parts < steps * part) continue;
            tasks.push_back({direction, begin, b + 1});
            begin = b + 1;
            ++part;
        }
        tasks.push_back({direction, begin, sequence.batch()});
    }
    return tasks;
}

template <class T>
ForwardPlan plan_forward(const Network& network, const PassKernels<T>& kernels, const Sequence& sequence,
                         const ForwardCase& given) {
    ForwardPlan plan{};
    plan.threads = threads_for(forward_flops(network, sequence, given.one_hot));
    plan.steps_in_one_call = kernels.steps != nullptr;
    if (!given.drops_in_place && divides_layers(network, sequence, given.one_hot, plan.threads))
        plan.division = Division::layers;
    else if (!plan.steps_in_one_call && divides_units(network, sequence, plan.threads))
        plan.division = Division::units;

    const std::vector<Chunk> all(static_cast<std::size_t>(network.directions()), Chunk{0, sequence.steps()});
    for (const RowTask& rows : divide_rows(sequence, all, plan.by_units() ? 1 : plan.threads)) {
        const Index steps = plan.by_layers() ? staggered_steps(sequence) : chunk_steps(sequence.steps(), rows.rows());
        plan.tasks.push_back({rows, steps, std::max<Index>(chunk_count(sequence.steps(), steps), 1)});
    }
    // A second thread without steps of its own costs more, awake beside the first, than its help in packing saves.
    if (plan.division == Division::rows && plan.task_count() == 1) plan.threads = 1;

    const Index columns = plan.by_units() ? network.units() : network.gate_columns();
    for (Index layer = 0; layer < network.layers(); ++layer) {
        const Index width = input_width(network, layer, given.one_hot);
        Index piece = 0;
        if (width > 0 && !given.frozen && takes_pieces(plan, network, kernels, sequence, layer)) {
            piece = std::min(rnncore::piece_columns(kernels.whole, width), columns);
            plan.piece_size = std::max(plan.piece_size, packed_size(kernels.whole, width, piece));
        }
        plan.piece_columns.push_back(piece);
    }
    return plan;
}

BackwardPlan plan_backward(const Network& network, const Sequence& sequence, bool one_hot, double source_flops) {
    BackwardPlan plan{};
    plan.threads = threads_for(backward_flops(network, sequence, one_hot) + source_flops);
    plan.division = divides_units(network, sequence, plan.threads) ? Division::units : Division::rows;
    plan.chunk_steps = chunk_steps(sequence.steps(), sequence.batch());
    plan.chunks = chunk_count(sequence.steps(), plan.chunk_steps);
    plan.layers_together = network.directions() == 1;
    plan.repacks = repacks(network, sequence, plan);
    // Of a ragged batch other rows are left in every chunk, after which the threads wait for each other.
    for (Index chunk = 0; chunk < plan.chunks; ++chunk) {
        std::vector<Chunk> by_direction;
        for (Index d = 0; d < network.directions(); ++d)
            by_direction.push_back(chunk_at({sequence.steps(), d == 1}, chunk, plan.chunk_steps));
        plan.tasks.push_back(divide_rows(sequence, by_direction, plan.by_units() ? 1 : plan.threads));
    }
    return plan;
}

template ForwardPlan plan_forward<float>(const Network&, const PassKernels<float>&, const Sequence&,
                                         const ForwardCase&);
template ForwardPlan plan_forward<double>(const Network&, const PassKernels<double>&, const Sequence&,
                                          const ForwardCase&);

}  // namespace rnncore
