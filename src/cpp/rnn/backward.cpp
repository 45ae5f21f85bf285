// The layers, from the last to the first, pass their steps in chunks against their order. In a chunk of a layer
//   1. the tasks go through their steps: pointwise part and the product that yields dh of the step before;
//   2. after a barrier, the products over all rows of the chunk: dx = da W_ih and the gradients of the parameters.
//      Threads divide their outputs, never a sum.
// With one direction all layers meet the chunks in the same order: a chunk goes down through all of them before the
// next begins, and the gradient of a layer's outputs exists for one chunk only, that of the last layer too where the
// loss makes it on the way. With two, each layer finishes before the one below begins.
#include "rnn/backward.hpp"

#include <algorithm>
#include <array>

#include "core/threads.hpp"
#include "dispatch/dispatch.hpp"
#include "rnn/cells/step.hpp"
#include "rnn/plan.hpp"
#include "rnn/weight_gradients.hpp"

namespace rnncore {
namespace {

template <class T>
class Backward {
public:
    Backward(const Tape<T>& tape, const T* params, const BackwardInput<T>& in, const BackwardOutput<T>& out)
        : tape_(tape),
          net_(tape.network),
          kernels_(pass_kernels<T>(net_, tape.sequence.batch(), tape.all_rows)),
          seq_(tape.sequence),
          params_(params),
          in_(in),
          out_(out),
          plan_(plan_backward(net_, seq_, tape.one_hot != nullptr, in.source ? in.source->flops(seq_.rows()) : 0)),
          product_scratch_(
              arena_, std::max(kernels_.product_scratch_bytes(), in_.source ? in_.source->product_scratch_bytes() : 0),
              plan_.threads),
          weight_gradients_(arena_, tape, kernels_.whole, out) {
        const Index rows = plan_.chunk_steps * seq_.batch();
        for (Index layer = 0; layer < net_.layers(); ++layer) {
            for (Index d = 0; d < net_.directions(); ++d) {
                dstate_.emplace_back();
                for (Index i = 0; i < net_.states(); ++i)
                    dstate_.back()[static_cast<std::size_t>(i)] = reserve(seq_.batch(), net_.state(i));
            }
        }
        const std::size_t mark = arena_.mark();
        for (Index layer = 0; layer < net_.layers(); ++layer) {
            if (plan_.repacks || !plan_.layers_together) arena_.rewind(mark);  // one layer's weights at a time
            for (Index d = 0; d < net_.directions(); ++d)
                packed_.emplace_back(arena_, kernels_, net_, layer, wants_dx(layer));
        }
        arena_.rewind(arena_.size());
        for (Index d = 0; d < net_.directions(); ++d) {
            da_[d] = reserve(rows, ld_gates());
            if (net_.extra() > 0) dextra_[d] = reserve(rows, net_.extra());
        }
        // The gradient of a layer's outputs. With one direction a chunk's rows of dy are read before the same rows of
        // dx are written, so one buffer holds both.
        const Index gradients = net_.layers() - (in_.source ? 0 : 1);
        for (Index i = 0; i < std::min(gradients, net_.directions()); ++i)
            between_[i] = reserve(plan_.layers_together ? rows : seq_.rows(), net_.output());
        if (in_.source)
            arena_.rewind(in_.source->reserve(arena_, rows, plan_.threads));  // products are not summed meanwhile
        weight_gradients_.reserve_scratch(arena_, rows, plan_.threads);
        arena_.take();
        for (const PackedBackward<T>& p : packed_) weights_.push_back(p.in(arena_));
        weight_gradients_.begin_pass(arena_);
    }

    void run() {
        run_parallel(plan_.threads, [this](int thread, Team& team) {
            const Worker w{thread, team, product_scratch_.of(arena_, thread)};
            if (in_.source) in_.source->begin(arena_, w);
            if (plan_.layers_together) return run_layers(uppermost(), 0, w);
            if (in_.source) {
                w.barrier();
                for (Index chunk = plan_.chunks - 1; chunk >= 0; --chunk) make_dy(chunk, w);
            }
            for (Index layer = uppermost(); layer >= 0; --layer) run_layers(layer, layer, w);
        });
    }

private:
    Arena::Slot<T> reserve(Index rows, Index columns) {
        return arena_.template reserve<T>(
            checked_product(static_cast<std::size_t>(rows), static_cast<std::size_t>(columns)));
    }

    bool wants_dx(Index layer) const { return layer > 0 || out_.dx; }
    const LayerTape<T>& layer_tape(Index layer) const { return tape_.layers[static_cast<std::size_t>(layer)]; }

    Index ld_gates() const { return row_pitch<T>(net_.gate_columns()); }  // of the gates and of their gradients
    Index uppermost() const { return net_.layers() - 1; }

    std::size_t index(Index layer, Index d) const { return static_cast<std::size_t>(layer * net_.directions() + d); }

    // The gradients that enter and leave a layer, at the row `first`: where a chunk begins.
    const T* dy(Index layer, Index first) const {
        if (layer < uppermost() || in_.source) return made_dy(layer, first);
        return in_.dy ? in_.dy + first * net_.output() : nullptr;
    }
    T* dx(Index layer, Index first) const {
        return layer > 0 ? made_dy(layer - 1, first) : out_.dx + first * net_.input(0);
    }
    T* made_dy(Index layer, Index first) const {
        T* const rows = between_[layer % net_.directions()].in(arena_);
        return plan_.layers_together ? rows : rows + first * net_.output();
    }

    TimeOrder order(Index direction) const { return {seq_.steps(), direction == 1}; }

    ChunkRows rows_of(Index layer, Index direction, Index chunk) const {
        // chunks are counted as the pass forward met them
        const Chunk c = chunk_at(order(direction), chunk, plan_.chunk_steps);
        return {layer, direction, order(direction), c, seq_.first(c.lo), seq_.first(c.hi) - seq_.first(c.lo)};
    }

    void run_layers(Index top, Index bottom, const Worker& w) {
        for (Index layer = top; layer >= bottom; --layer) begin_layer(layer, w);
        w.team.barrier();
        for (Index chunk = plan_.chunks - 1; chunk >= 0; --chunk) {
            if (in_.source && plan_.layers_together) make_dy(chunk, w);
            for (Index layer = top; layer >= bottom; --layer) run_chunk(layer, chunk, w);
        }
        for (Index layer = top; layer >= bottom; --layer) end_layer(layer, w);
        w.team.barrier();
    }

    // The gradient of the last layer's outputs.
    void make_dy(Index chunk, const Worker& w) const {
        const Chunk c = chunk_at(order(0), chunk, plan_.chunk_steps);
        const Index first = seq_.first(c.lo), columns = net_.output();
        const Index rows = seq_.first(c.hi) - first;
        const Matrix<const T> y{tape_.y() + first * columns, rows, columns, columns};
        in_.source->write(arena_, tape_.first_row + first, y, {made_dy(uppermost(), first), rows, columns, columns}, w);
    }

    // Every thread passes the same barriers, also when the work has been stopped.
    void run_chunk(Index layer, Index chunk, const Worker& w) {
        if (plan_.repacks) {
            pack(layer, w);
            w.team.barrier();
        }
        const std::vector<RowTask>& tasks = plan_.tasks[static_cast<std::size_t>(chunk)];
        if (plan_.by_units()) {
            run_steps(tasks[0], layer, chunk, w);
        } else {
            const Range mine = w.tasks(static_cast<Index>(tasks.size()));
            for (Index i = mine.first; i < mine.last && !w.team.stopped(); ++i)
                run_steps(tasks[static_cast<std::size_t>(i)], layer, chunk, w);
        }
        w.team.barrier();
        for (Index d = 0; d < net_.directions() && !w.team.stopped(); ++d) add_products(rows_of(layer, d, chunk), w);
        w.team.poll(w.thread);
        w.team.barrier();
        if (!plan_.layers_together || !drops_below(layer)) return;
        const ChunkRows rows = rows_of(layer, 0, chunk);
        drop(layer, rows.first, rows.rows, w);
        w.team.barrier();
    }

    void pack(Index layer, const Worker& w) const {
        for (Index d = 0; d < net_.directions(); ++d) packed_[index(layer, d)].fill(arena_, params_, d, w);
    }

    void begin_layer(Index layer, const Worker& w) {
        if (!plan_.repacks) pack(layer, w);
        for (Index d = 0; d < net_.directions(); ++d) {
            if (d % w.team.size() == w.thread) begin_direction(layer, d);
        }
        // where two directions add to dx
        if (wants_dx(layer) && !plan_.layers_together) {
            const Range part = share(seq_.rows() * net_.input(layer), w.thread, w.team.size());
            std::fill(dx(layer, 0) + part.first, dx(layer, 0) + part.last, T(0));
        }
    }

    void begin_direction(Index layer, Index d) {
        const std::size_t i = index(layer, d);
        weight_gradients_.begin_direction(arena_, layer, d);
        for (Index state = 0; state < net_.states(); ++state) {
            T* gradient = dstate(i, state);
            if (in_.dstate.empty())
                std::fill_n(gradient, seq_.batch() * net_.state(state), T(0));
            else
                sort_state(seq_, in_.dstate[static_cast<std::size_t>(state)] + state_offset(layer, d, state),
                           net_.state(state), gradient);
        }
    }

    Index state_offset(Index layer, Index d, Index state) const {
        return (layer * net_.directions() + d) * seq_.batch() * net_.state(state);
    }
    T* dstate(std::size_t index, Index state) const {
        return dstate_[index][static_cast<std::size_t>(state)].in(arena_);
    }

    void end_layer(Index layer, const Worker& w) {
        for (Index d = 0; d < net_.directions(); ++d) {
            weight_gradients_.end_direction(arena_, layer, d, w);
            if (d % w.team.size() != w.thread) continue;
            const std::size_t i = index(layer, d);
            for (Index state = 0; state < net_.states(); ++state)
                unsort_state(seq_, dstate(i, state), net_.state(state),
                             out_.dstate[static_cast<std::size_t>(state)] + state_offset(layer, d, state));
        }
        if (!plan_.layers_together && drops_below(layer)) drop(layer, 0, seq_.rows(), w);
    }

    // The gradient goes back through the dropout between this layer and the one below.
    bool drops_below(Index layer) const { return layer > 0 && layer_tape(layer - 1).dropped; }
    void drop(Index layer, Index first, Index rows, const Worker& w) const {
        const Range part = share(rows * net_.output(), w.thread, w.team.size(), kernels_.whole.lanes);
        T* gradient = dx(layer, first) + part.first;
        kernels_.whole.dropout({gradient, gradient, part.last - part.first,
                                static_cast<std::uint64_t>((tape_.first_row + first) * net_.output() + part.first),
                                dropout_seed(tape_.seed, layer - 1), net_.dropout()});
    }

    // Part 1: the steps of one task in one chunk, against their order.
    void run_steps(const RowTask& task, Index layer, Index chunk, const Worker& w) const {
        const ChunkRows c = rows_of(layer, task.direction, chunk);
        UnitShare share{{0, net_.units()}, nullptr, w.scratch};
        if (plan_.by_units()) share = {w.share(net_.units(), kernels_.step.tile_columns), &w.team, w.scratch};
        bool go_on = true;
        for (Index i = 0; i < c.chunk.hi - c.chunk.lo && go_on; ++i) {
            const Index t = c.order.reverse ? c.chunk.lo + i : c.chunk.hi - 1 - i;
            w.poll();
            share.from_end = reads_from_end(t);
            // threads that wait for each other stop at the same step
            if (!plan_.by_units()) go_on = !w.stopped();
            for_segments(seq_, c.order, task, t, [&](Index begin, Index end, bool from_history) {
                const bool answer = step(c, {t, begin, end, from_history}, share);
                if (plan_.by_units()) go_on = answer;
            });
        }
    }

    struct Segment {
        Index t, begin, end;
        bool from_history;
    };

    bool step(const ChunkRows& c, const Segment& segment, const UnitShare& share) const {
        const LayerTape<T>& l = layer_tape(c.layer);
        const DirectionTape<T>& tape = l.directions[c.direction];
        const Index h = net_.direction_output(), ld_y = net_.output(), extra = net_.extra(), cell = net_.cell_state();
        const Index row = seq_.first(segment.t) + segment.begin;
        const Index before = c.order.previous(segment.t);
        const Index row_before = segment.from_history ? seq_.first(before) + segment.begin : 0;
        const std::size_t i = index(c.layer, c.direction);
        const T* y = l.y + c.direction * h;
        const auto at = [](auto* rows, Index offset) { return rows ? rows + offset : nullptr; };

        CellBackward<T> s{};
        s.rows = segment.end - segment.begin;
        s.hidden = net_.units();
        s.gates = at(tape.gates, row * ld_gates());
        s.ld_gates = ld_gates();
        s.extra = at(tape.extra, row * extra);
        s.h_prev = segment.from_history ? y + row_before * ld_y : at(tape.initial[0], segment.begin * h);
        s.ld_h_prev = segment.from_history ? ld_y : h;
        s.h = y + row * ld_y;
        s.ld_h = ld_y;
        s.c_prev = segment.from_history ? at(tape.cell, row_before * cell) : at(tape.initial[1], segment.begin * cell);
        s.c = at(tape.cell, row * cell);
        s.dy = at(dy(c.layer, c.first), (row - c.first) * ld_y + c.direction * h);
        s.ld_dy = ld_y;
        s.dh = dstate(i, 0) + segment.begin * h;
        if (cell > 0) s.dc = dstate(i, 1) + segment.begin * cell;
        s.dgates = da_[c.direction].in(arena_) + (row - c.first) * ld_gates();
        s.ld_dgates = ld_gates();
        if (extra > 0) s.dextra = dextra_[c.direction].in(arena_) + (row - c.first) * extra;
        return net_.cell().template steps<T>().backward(weights_[i], s, share);
    }

    // Part 2: the products over the rows of a chunk.
    void add_products(const ChunkRows& c, const Worker& w) const {
        if (c.rows == 0) return;
        const std::size_t d = static_cast<std::size_t>(c.direction);
        const T* const da = da_[d].in(arena_);
        if (wants_dx(c.layer)) add_dx(c, da, w);
        weight_gradients_.add(arena_, c, {da, net_.extra() > 0 ? dextra_[d].in(arena_) : nullptr}, w);
    }

    // dx (+)= da W_ih, divided by columns of x: with two directions the order of the two sums is then always the same
    void add_dx(const ChunkRows& c, const T* da, const Worker& w) const {
        const Index width = net_.input(c.layer), k = net_.gate_columns();
        const Range part = share(width, w.thread, w.team.size(), kernels_.whole.tile_columns);
        if (part.first == part.last) return;
        const RowBlock<T> block{da, dx(c.layer, c.first) + part.first, c.rows};
        kernels_.whole.product(
            {&block, 1, ld_gates(), width,
             weights_[index(c.layer, c.direction)].input + part.first * packed_depth(kernels_.whole, k), nullptr, k,
             part.last - part.first, plan_.layers_together ? Init::zero : Init::keep, false, w.scratch});
    }

    const Tape<T>& tape_;
    const Network& net_;
    const PassKernels<T> kernels_;
    const Sequence& seq_;
    const T* params_;
    const BackwardInput<T>& in_;
    const BackwardOutput<T>& out_;
    const BackwardPlan plan_;
    Arena arena_;
    ProductScratch product_scratch_;
    WeightGradients<T> weight_gradients_;
    std::vector<PackedBackward<T>> packed_;  // these three by layer and direction
    std::vector<BackwardWeights<T>> weights_;
    std::vector<std::array<Arena::Slot<T>, kMostStates>> dstate_;  // by state: [B,H]
    std::array<Arena::Slot<T>, 2> da_, dextra_, between_;
};

}  // namespace

template <class T>
void run_backward(const Tape<T>& tape, const T* params, const BackwardInput<T>& input,
                  const BackwardOutput<T>& output) {
    Backward<T>(tape, params, input, output).run();
}

template void run_backward<float>(const Tape<float>&, const float*, const BackwardInput<float>&,
                                  const BackwardOutput<float>&);
template void run_backward<double>(const Tape<double>&, const double*, const BackwardInput<double>&,
                                   const BackwardOutput<double>&);

}  // namespace rnncore
