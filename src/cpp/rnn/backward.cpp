// Each layer, from the last to the first, passes its steps in chunks against their order. In a chunk
//   1. the tasks go through their steps: pointwise part and the product that yields dh of the step before;
//   2. after a barrier, the products summed over all rows of the chunk: dx = da W_ih, dW_ih += da^T x,
//      dW_hh += da^T h_prev and the biases. Threads divide their outputs, never a sum, so that the bits of a result do
//      not depend on the number of threads.
#include "rnn/backward.hpp"

#include <algorithm>
#include <array>

#include "core/threads.hpp"
#include "dispatch/dispatch.hpp"
#include "rnn/cells.hpp"
#include "rnn/schedule.hpp"

namespace rnncore {
namespace {

template <class T>
class Backward {
public:
    Backward(const Tape<T>& tape, const T* params, const BackwardInput<T>& in, const BackwardOutput<T>& out)
        : tape_(tape),
          net_(tape.network),
          seq_(tape.sequence),
          params_(params),
          in_(in),
          out_(out),
          steps_(chunk_steps(seq_.steps(), seq_.batch())),
          threads_(threads_for(flops())),
          tasks_(make_tasks(seq_, net_.directions(), threads_)) {
        const std::size_t mark = arena_.mark();
        for (Index layer = 0; layer < net_.layers(); ++layer) {
            arena_.rewind(mark);  // the layers run one after the other
            for (Index d = 0; d < net_.directions(); ++d) {
                packed_.emplace_back(arena_, net_, layer, wants_dx(layer));
                if (one_hot(layer)) tables_[d] = reserve(tape.one_hot.used(), net_.gate_columns());
            }
        }
        arena_.rewind(arena_.size());
        const Index h = net_.hidden(), rows = steps_ * seq_.batch();
        for (Index d = 0; d < net_.directions(); ++d) {
            da_[d] = reserve(rows, net_.gate_columns());
            if (net_.has_extra()) dextra_[d] = reserve(rows, h);
            dh_[d] = reserve(seq_.batch(), h);
            if (net_.has_cell_state()) dc_[d] = reserve(seq_.batch(), h);
        }
        // The gradient between two layers. With one direction a chunk's rows of dy are read before the same rows of dx
        // are written, so one buffer holds both.
        for (Index i = 0; i < std::min(net_.layers() - 1, net_.directions()); ++i)
            between_[i] = reserve(seq_.rows(), net_.output());
        zeros_ = reserve(1, h);
        for (int i = 0; i < threads_; ++i) {
            products_.push_back(arena_.template reserve<T>(static_cast<std::size_t>(kernels<T>().outer_scratch)));
            rows_.push_back(arena_.template reserve<const T*>(static_cast<std::size_t>(rows)));
        }
        arena_.take();
        std::fill_n(zeros_.in(arena_), h, T(0));
    }

    void run() {
        run_parallel(threads_, [this](int thread, Team& team) {
            for (Index layer = net_.layers() - 1; layer >= 0; --layer) run_layer({layer, thread, team});
        });
    }

private:
    struct Place {  // who works where
        Index layer;
        int thread;
        Team& team;
    };

    // One direction's chunk: rows [first, first + rows) of the packed arrays.
    struct ChunkRows {
        Index direction;
        TimeOrder order;
        Chunk chunk;
        Index first, rows;
    };

    Arena::Slot<T> reserve(Index rows, Index columns) {
        return arena_.template reserve<T>(
            checked_product(static_cast<std::size_t>(rows), static_cast<std::size_t>(columns)));
    }

    bool one_hot(Index layer) const { return layer == 0 && tape_.one_hot_input; }
    bool wants_dx(Index layer) const { return layer > 0 || out_.dx; }
    const LayerTape<T>& layer_tape(Index layer) const { return tape_.layers[static_cast<std::size_t>(layer)]; }

    double flops() const {
        double per_row = 0;
        for (Index layer = 0; layer < net_.layers(); ++layer)
            per_row += static_cast<double>(one_hot(layer) ? 0 : net_.input(layer)) + static_cast<double>(net_.hidden());
        return 4 * per_row * static_cast<double>(net_.gate_columns() * net_.directions()) *
               static_cast<double>(seq_.rows());
    }

    // The gradients that enter and leave a layer.
    const T* dy(Index layer) const {
        return layer + 1 == net_.layers() ? in_.dy : between_[layer % net_.directions()].in(arena_);
    }
    T* dx(Index layer) const { return layer == 0 ? out_.dx : between_[(layer - 1) % net_.directions()].in(arena_); }

    TimeOrder order(Index direction) const { return {seq_.steps(), direction == 1}; }

    ChunkRows rows_of(Index direction, Index chunk) const {
        // chunks are counted as the pass forward met them
        const Chunk c = chunk_at(order(direction), chunk, steps_);
        return {direction, order(direction), c, seq_.first(c.lo), seq_.first(c.hi) - seq_.first(c.lo)};
    }

    void run_layer(const Place& at) {
        for (Index d = 0; d < net_.directions(); ++d) {
            if (d % at.team.size() == at.thread) begin_direction(at.layer, d);
        }
        if (wants_dx(at.layer) && net_.directions() == 2) {
            const Range part = share(seq_.rows() * net_.input(at.layer), at.thread, at.team.size());
            std::fill(dx(at.layer) + part.first, dx(at.layer) + part.last, T(0));
        }
        at.team.barrier();
        // as in the pass forward, the calling thread takes the largest share
        const Range mine = share(static_cast<long>(tasks_.size()), at.team.size() - 1 - at.thread, at.team.size());
        for (Index chunk = chunk_count(seq_.steps(), steps_) - 1; chunk >= 0; --chunk) {
            // every thread passes the same barriers, also when the work has been stopped
            for (long i = mine.first; i < mine.last && !at.team.stopped(); ++i)
                run_steps(at, tasks_[static_cast<std::size_t>(i)], chunk);
            at.team.barrier();
            for (Index d = 0; d < net_.directions() && !at.team.stopped(); ++d) add_products(at, rows_of(d, chunk));
            at.team.poll(at.thread);
            at.team.barrier();
        }
        end_layer(at);
        at.team.barrier();
    }

    void begin_direction(Index layer, Index d) {
        const std::size_t index = static_cast<std::size_t>(layer * net_.directions() + d);
        weights_[d] = packed_[index].fill(arena_, params_, d);
        if (one_hot(layer)) std::fill_n(tables_[d].in(arena_), tape_.one_hot.used() * net_.gate_columns(), T(0));
        for (Index state = 0; state < net_.states(); ++state) {
            T* gradient = (state == 0 ? dh_[d] : dc_[d]).in(arena_);
            if (in_.dstate.empty())
                std::fill_n(gradient, seq_.batch() * net_.hidden(), T(0));
            else
                sort_state(seq_, in_.dstate[static_cast<std::size_t>(state)] + state_offset(layer, d), net_.hidden(),
                           gradient);
        }
    }

    Index state_offset(Index layer, Index d) const {
        return (layer * net_.directions() + d) * seq_.batch() * net_.hidden();
    }

    void end_layer(const Place& at) {
        for (Index d = 0; d < net_.directions(); ++d) {
            if (one_hot(at.layer)) {
                const Range part = share(net_.gate_columns(), at.thread, at.team.size());
                tape_.one_hot.scatter(tables_[d].in(arena_), net_.gate_columns(),
                                      out_.grads + net_.offsets(0, d).weight_ih, net_.input(0), part.first, part.last);
            }
            if (d % at.team.size() != at.thread) continue;
            for (Index state = 0; state < net_.states(); ++state)
                unsort_state(seq_, (state == 0 ? dh_[d] : dc_[d]).in(arena_), net_.hidden(),
                             out_.dstate[static_cast<std::size_t>(state)] + state_offset(at.layer, d));
        }
        if (at.layer > 0 && layer_tape(at.layer - 1).dropped) {
            const Range part = share(seq_.rows() * net_.output(), at.thread, at.team.size(), kernels<T>().lanes);
            T* gradient = dx(at.layer) + part.first;
            kernels<T>().dropout({gradient, gradient, part.last - part.first, static_cast<std::uint64_t>(part.first),
                                  dropout_seed(tape_.seed, at.layer - 1), net_.dropout()});
        }
    }

    // Part 1: the steps of one task in one chunk, against their order.
    void run_steps(const Place& at, const RowTask& task, Index chunk) const {
        const ChunkRows c = rows_of(task.direction, chunk);
        for (Index i = 0; i < c.chunk.hi - c.chunk.lo && !at.team.stopped(); ++i) {
            const Index t = c.order.reverse ? c.chunk.lo + i : c.chunk.hi - 1 - i;
            for_segments(seq_, c.order, task, t, [&](Index begin, Index end, bool from_history) {
                step(at.layer, c, {t, begin, end, from_history});
            });
            at.team.poll(at.thread);
        }
    }

    struct Segment {
        Index t, begin, end;
        bool from_history;
    };

    void step(Index layer, const ChunkRows& c, const Segment& segment) const {
        const LayerTape<T>& l = layer_tape(layer);
        const DirectionTape<T>& tape = l.directions[c.direction];
        const Index h = net_.hidden(), ld_y = net_.output(), columns = net_.gate_columns();
        const Index row = seq_.first(segment.t) + segment.begin;
        const Index before = c.order.previous(segment.t);
        const Index row_before = segment.from_history ? seq_.first(before) + segment.begin : 0;
        const T* y = l.y + c.direction * h;
        const auto at = [](auto* rows, Index offset) { return rows ? rows + offset : nullptr; };

        CellBackward<T> s{};
        s.rows = segment.end - segment.begin;
        s.hidden = h;
        s.gates = at(tape.gates, row * columns);
        s.ld_gates = columns;
        s.extra = at(tape.extra, row * h);
        s.h_prev = segment.from_history ? y + row_before * ld_y : at(tape.h0, segment.begin * h);
        s.ld_h_prev = segment.from_history ? ld_y : h;
        s.h = y + row * ld_y;
        s.ld_h = ld_y;
        s.c_prev = segment.from_history ? at(tape.cell, row_before * h) : at(tape.c0, segment.begin * h);
        s.c = at(tape.cell, row * h);
        s.dy = at(dy(layer), row * ld_y + c.direction * h);
        s.ld_dy = ld_y;
        s.dh = dh_[c.direction].in(arena_) + segment.begin * h;
        if (net_.has_cell_state()) s.dc = dc_[c.direction].in(arena_) + segment.begin * h;
        s.dgates = da_[c.direction].in(arena_) + (row - c.first) * columns;
        if (net_.has_extra()) s.dextra = dextra_[c.direction].in(arena_) + (row - c.first) * h;
        backward_step(net_, weights_[c.direction], s);
    }

    // Part 2: what is summed over the rows of a chunk.
    void add_products(const Place& at, const ChunkRows& c) {
        if (c.rows == 0) return;
        const LayerTape<T>& l = layer_tape(at.layer);
        const DirectionTape<T>& tape = l.directions[c.direction];
        const ParameterOffsets offset = net_.offsets(at.layer, c.direction);
        const Index h = net_.hidden(), columns = net_.gate_columns(), fused = net_.fused_columns();
        const Index width = net_.input(at.layer);
        const T* da = da_[c.direction].in(arena_);
        const T* dextra = net_.has_extra() ? dextra_[c.direction].in(arena_) : nullptr;
        const T** rows = rows_[static_cast<std::size_t>(at.thread)].in(arena_);

        if (wants_dx(at.layer)) add_dx(at, c, da);

        // dW_ih += da^T x
        if (one_hot(at.layer)) {
            add_to_table(at, c, da);
        } else {
            for (Index r = 0; r < c.rows; ++r) rows[r] = l.x + (c.first + r) * width;
            add_outer(at, {da, columns, rows, out_.grads + offset.weight_ih, width, c.rows, columns, width, nullptr});
        }

        // dW_hh += da^T h_prev, the GRU's last gate apart
        const bool reset_before = net_.cell() == CellKind::gru_before;
        const T* last = reset_before ? da + fused : dextra;
        const Index ld_last = reset_before ? columns : h;
        T* dweight_last = out_.grads + offset.weight_hh + fused * h;
        const Range known = previous_rows(at.layer, c, rows);
        const Index k = known.last - known.first;
        const T* const* h_prev = rows + known.first;
        add_outer(
            at, {da + known.first * columns, columns, h_prev, out_.grads + offset.weight_hh, h, k, fused, h, nullptr});
        if (net_.cell() == CellKind::gru_after)
            add_outer(at, {last + known.first * ld_last, ld_last, h_prev, dweight_last, h, k, h, h, nullptr});
        if (reset_before) {
            for (Index r = 0; r < c.rows; ++r) rows[r] = tape.extra + (c.first + r) * h;
            add_outer(at, {last, ld_last, rows, dweight_last, h, c.rows, h, h, nullptr});
        }

        if (!net_.bias()) return;
        add_sums(at, da, columns, c.rows, columns, out_.grads + offset.bias_ih);
        add_sums(at, da, columns, c.rows, fused, out_.grads + offset.bias_hh);
        if (net_.has_extra()) add_sums(at, last, ld_last, c.rows, h, out_.grads + offset.bias_hh + fused);
    }

    // dx (+)= da W_ih, divided by columns of x: with two directions the order of the two sums is then always the same
    void add_dx(const Place& at, const ChunkRows& c, const T* da) const {
        const Index width = net_.input(at.layer), k = net_.gate_columns();
        const Range part = share(width, at.thread, at.team.size(), kernels<T>().tile_columns);
        if (part.first == part.last) return;
        const RowBlock<T> block{da, dx(at.layer) + c.first * width + part.first, c.rows};
        kernels<T>().product({&block, 1, k, width, weights_[c.direction].input + part.first * k, nullptr, k,
                              part.last - part.first, net_.directions() == 2 ? Init::keep : Init::zero});
    }

    void add_to_table(const Place& at, const ChunkRows& c, const T* da) const {
        const Index columns = net_.gate_columns();
        const Range part = share(columns, at.thread, at.team.size(), kernels<T>().lanes);
        T* table = tables_[c.direction].in(arena_);
        for (Index r = 0; r < c.rows; ++r) {
            const Index slot = tape_.one_hot.slot(c.first + r);
            kernels<T>().add(da + r * columns + part.first, part.last - part.first,
                             table + slot * columns + part.first);
        }
    }

    void add_outer(const Place& at, OuterProduct<T> p) const {
        const Range part = share(p.m, at.thread, at.team.size(), kernels<T>().tile_rows);
        p.a += part.first;
        p.c += part.first * p.ldc;
        p.m = part.last - part.first;
        p.scratch = products_[static_cast<std::size_t>(at.thread)].in(arena_);
        if (p.m > 0 && p.k > 0) kernels<T>().outer_product(p);
    }

    void add_sums(const Place& at, const T* a, Index lda, Index rows, Index columns, T* sums) const {
        const Range part = share(columns, at.thread, at.team.size(), kernels<T>().lanes);
        kernels<T>().add_column_sums(a + part.first, rows, part.last - part.first, lda, sums + part.first);
    }

    // Where the previous state of each of the chunk's rows stands. Rows at either end that begin from a zero state are
    // left out: the range of the others is returned.
    Range previous_rows(Index layer, const ChunkRows& c, const T** rows) const {
        const LayerTape<T>& l = layer_tape(layer);
        const DirectionTape<T>& tape = l.directions[c.direction];
        const Index h = net_.hidden(), ld_y = net_.output();
        const T* zeros = zeros_.in(arena_);
        for (Index t = c.chunk.lo; t < c.chunk.hi; ++t) {
            const RowTask all{c.direction, 0, seq_.batch()};
            for_segments(seq_, c.order, all, t, [&](Index begin, Index end, bool from_history) {
                const T* first =
                    from_history ? l.y + seq_.first(c.order.previous(t)) * ld_y + c.direction * h : tape.h0;
                const Index stride = from_history ? ld_y : h;
                for (Index b = begin; b < end; ++b)
                    rows[seq_.first(t) - c.first + b] = first ? first + b * stride : zeros;
            });
        }
        Range known{0, c.rows};
        while (known.first < known.last && rows[known.first] == zeros) ++known.first;
        while (known.last > known.first && rows[known.last - 1] == zeros) --known.last;
        return known;
    }

    const Tape<T>& tape_;
    const Network& net_;
    const Sequence& seq_;
    const T* params_;
    const BackwardInput<T>& in_;
    const BackwardOutput<T>& out_;
    Index steps_;
    int threads_;
    std::vector<RowTask> tasks_;
    Arena arena_;
    std::vector<PackedBackward<T>> packed_;
    BackwardWeights<T> weights_[2];
    std::array<Arena::Slot<T>, 2> tables_, da_, dextra_, dh_, dc_, between_;
    Arena::Slot<T> zeros_;
    std::vector<Arena::Slot<T>> products_;
    std::vector<Arena::Slot<const T*>> rows_;
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
