// Chunks of steps from the last to the first. In each
//   1. every thread takes some sequences through the steps, backward, and adds to the gradients of what they attend to;
//   2. after a barrier, the products over all rows of the chunk: dx and the gradients of the parameters.
#include "rnn/attention_rnn/backward.hpp"

#include <algorithm>

#include "core/threads.hpp"
#include "rnn/attention_rnn/forward.hpp"
#include "rnn/attention_rnn/gradients.hpp"
#include "rnn/cells/step.hpp"
#include "rnn/plan.hpp"

namespace rnncore {
namespace {

template <class T>
class Backward {
public:
    Backward(const AttentionRnnTape<T>& tape, const AttentionRnnArrays<const T>& params,
             const AttentionRnnBackwardInput<T>& in, const AttentionRnnBackwardOutput<T>& out)
        : tape_(tape),
          layer_(tape.layer),
          seq_(tape.sequence),
          memory_(tape.memory),
          in_(in),
          out_(out),
          kernels_(attention_rnn_kernels<T>(layer_, seq_)),
          threads_(threads_for(3 * tape.flops())),
          steps_(chunk_steps(seq_.steps(), seq_.batch())),
          scratch_(arena_, kernels_.product_scratch_bytes(), threads_),
          packed_(arena_, kernels_, layer_, params, memory_.width),
          gradients_(arena_, tape, kernels_.whole, steps_ * seq_.batch(), threads_),
          projects_query_(params.query_weight != nullptr) {
        const Index h = layer_.hidden(), batch = seq_.batch(), rows = steps_ * batch;
        for (int i = 0; i < layer_.states(); ++i) carry_[i] = reserve(batch, h);
        for (int i = 0; i < layer_.cells(); ++i) {
            dgates_[i] = reserve(rows, ld_gates(i));
            dextra_[i] = reserve(rows, layer_.cell(i).extra());
        }
        djoint_ = reserve(rows, ld_joint());
        combined_ = reserve(rows, layer_.feeds_input() ? h : 0);
        dquery_ = reserve(rows, memory_.width);
        Index size = 0;
        for (Index b = 0; b < batch; ++b) {
            dscores_first_.push_back(size);
            size += tape.weights_pitch(b);
        }
        dscores_ = reserve(steps_, size);
        dv_ = reserve(batch, memory_.v ? memory_.width : 0);
        for (int i = 0; i < threads_; ++i) gathered_.push_back(reserve(steps_, memory_.width + memory_.value_width));
        arena_.take();
        for (int i = 0; i < layer_.cells(); ++i) cells_[i] = packed_.cell(static_cast<std::size_t>(i), arena_);
        for (Index lo = 0; lo < seq_.steps(); lo += steps_) {
            const Chunk chunk{lo, std::min(lo + steps_, seq_.steps())};
            tasks_.push_back(divide_rows(seq_, {chunk}, threads_));
        }
        gradients_.begin(arena_);
    }

    void run() {
        run_parallel(threads_, [this](int thread, Team& team) {
            const Worker w{thread, team, scratch_.of(arena_, thread)};
            packed_.fill(arena_, w);
            begin(w);
            w.barrier();
            for (Index i = static_cast<Index>(tasks_.size()) - 1; i >= 0; --i) run_chunk(i, w);
            end(w);
        });
    }

private:
    Arena::Slot<T> reserve(Index rows, Index columns) {
        return arena_.template reserve<T>(
            checked_product(static_cast<std::size_t>(rows), static_cast<std::size_t>(columns)));
    }

    Index ld_gates(int i) const { return row_pitch<T>(layer_.cell(i).gate_columns()); }
    Index ld_joint() const { return row_pitch<T>(layer_.joint()); }
    T* carry(int state, Index b) const { return carry_[state].in(arena_) + b * layer_.hidden(); }

    // The final state's gradients are those that the last steps find.
    void begin(const Worker& w) const {
        const Index h = layer_.hidden();
        for (int i = 0; i < layer_.states(); ++i) {
            if (i % w.team.size() != w.thread) continue;
            if (const T* const given = in_.dstate[static_cast<std::size_t>(i)])
                sort_state(seq_, given, h, carry(i, 0));
            else
                std::fill_n(carry(i, 0), seq_.batch() * h, T(0));
        }
        if (memory_.v && w.thread == 0) std::fill_n(dv_.in(arena_), seq_.batch() * memory_.width, T(0));
    }

    void end(const Worker& w) const {
        for (int i = 0; i < layer_.states(); ++i) {
            if (i % w.team.size() == w.thread)
                unsort_state(seq_, carry(i, 0), layer_.hidden(), out_.dstate[static_cast<std::size_t>(i)]);
        }
        if (memory_.v)
            add_column_sums<T>(kernels_.whole, {dv_.in(arena_), seq_.batch(), memory_.width, memory_.width},
                               out_.grads.v, w);
    }

    // Every thread passes the same barriers, also when the work has been stopped.
    void run_chunk(Index number, const Worker& w) const {
        const Chunk chunk{number * steps_, std::min((number + 1) * steps_, seq_.steps())};
        const Index first = seq_.first(chunk.lo);
        const DecoderChunk c{chunk, first, seq_.first(chunk.hi) - first};
        const std::vector<RowTask>& tasks = tasks_[static_cast<std::size_t>(number)];
        const Range mine = w.tasks(static_cast<Index>(tasks.size()));
        for (Index i = mine.first; i < mine.last && !w.stopped(); ++i) {
            const RowTask& task = tasks[static_cast<std::size_t>(i)];
            for (Index t = chunk.hi - 1; t >= chunk.lo && !w.stopped(); --t) {
                const StepRows s = step_rows(seq_, task, t);
                if (s.rows > 0) run_step(s, c, w);
                w.poll();
            }
            for (Index b = task.begin; b < task.end && !w.stopped(); ++b) add_memory_gradients(b, c, w);
        }
        w.barrier();
        if (!w.stopped()) add_products(c, w);
        w.poll();
        w.barrier();
    }

    // Rows of a step in an array of the chunk.
    Matrix<T> in_chunk(const Arena::Slot<T>& slot, Index columns, Index stride, const StepRows& s,
                       const DecoderChunk& c) const {
        return {slot.in(arena_) + (s.first - c.first) * stride, s.rows, columns, stride};
    }
    // The gradients of c and of h or q.
    Matrix<T> dcontext(const StepRows& s, const DecoderChunk& c) const {
        return in_chunk(djoint_, layer_.context(), ld_joint(), s, c);
    }
    Matrix<T> dhidden(const StepRows& s, const DecoderChunk& c) const {
        Matrix<T> d = in_chunk(djoint_, layer_.hidden(), ld_joint(), s, c);
        d.data += layer_.context();
        return d;
    }

    void run_step(const StepRows& s, const DecoderChunk& c, const Worker& w) const {
        const UnitShare share{{0, layer_.hidden()}, nullptr, w.scratch, reads_from_end(s.t)};
        const bool feeds = layer_.feeds_input();
        const Index h = layer_.hidden();
        const Matrix<const T> dy{in_.dy ? in_.dy + s.first * layer_.output() : nullptr, s.rows, h, layer_.output()};
        const Matrix<T> dc = dcontext(s, c), dh = dhidden(s, c);
        // 1. the gradient of c, with input feeding also that of h, from what they are combined to
        if (feeds) {
            combine(s, c, dy, w);
        } else {
            run_cell(1, s, c, dy, share);
            const Matrix<T> da = in_chunk(dgates_[1], layer_.second().gate_columns(), ld_gates(1), s, c);
            packed_.fed.multiply(arena_, {da.data, da.rows, da.columns, da.stride}, nullptr, dc, {0, dc.columns}, w);
        }
        if (dy.data && layer_.options().outputs_context) {
            for (Index r = 0; r < s.rows; ++r) kernels_.step.add(dy.row(r) + h, dc.columns, dc.row(r));
        }
        // 2. that of h or q, through the attention
        attend(s, c, w);
        // 3. the first cell, and a'
        run_cell(0, s, c, {dh.data, dh.rows, h, dh.stride}, share);
        if (!feeds) return;
        const Matrix<T> da = in_chunk(dgates_[0], layer_.first().gate_columns(), ld_gates(0), s, c);
        packed_.fed.multiply(arena_, {da.data, da.rows, da.columns, da.stride}, nullptr,
                             {carry(layer_.attentional(), s.begin), s.rows, h, h}, {0, h}, w);
    }

    // Of a = tanh(W_c [c; h] + b_c).
    void combine(const StepRows& s, const DecoderChunk& c, const Matrix<const T>& dy, const Worker& w) const {
        const Index h = layer_.hidden();
        const Matrix<T> da = in_chunk(combined_, h, h, s, c);
        CellBackward<T> step{};
        step.rows = s.rows;
        step.hidden = step.units = h;
        step.h = tape_.y.row(s.first);
        step.ld_h = tape_.y.stride;
        step.dy = dy.data;
        step.ld_dy = dy.stride;
        step.dh = carry(layer_.attentional(), s.begin);
        step.dgates = da.data;
        step.ld_dgates = h;
        kernels_.step.rnn_backward[static_cast<int>(Nonlinearity::tanh)](step);
        packed_.combine->multiply(arena_, {da.data, da.rows, h, h}, nullptr,
                                  in_chunk(djoint_, layer_.joint(), ld_joint(), s, c), {0, layer_.joint()}, w);
    }

    void run_cell(int i, const StepRows& s, const DecoderChunk& c, const Matrix<const T>& dy,
                  const UnitShare& share) const {
        const Network& net = layer_.cell(i);
        const CellTape<T>& kept = tape_.cells[i];
        const bool feeds = layer_.feeds_input();
        const Index h = net.units(), in_rows = s.first - c.first;
        const Matrix<T>& output = feeds || i == 0 ? tape_.hidden : tape_.y;
        const Matrix<const T> before = i == 0
                                           ? tape_.before(feeds ? tape_.hidden : tape_.y, 0, s)
                                           : Matrix<const T>{tape_.hidden.row(s.first), s.rows, h, tape_.hidden.stride};
        CellBackward<T> step{};
        step.rows = s.rows;
        step.hidden = h;
        step.gates = kept.gates ? kept.gates + s.first * ld_gates(i) : nullptr;
        step.ld_gates = ld_gates(i);
        step.extra = kept.extra ? kept.extra + s.first * h : nullptr;
        step.h_prev = before.data;
        step.ld_h_prev = before.stride;
        step.h = output.row(s.first);
        step.ld_h = output.stride;
        if (kept.cell) {
            step.c_prev = i == 0 ? tape_.cell_before(layer_.cells() - 1, s) : tape_.cells[0].cell + s.first * h;
            step.c = kept.cell + s.first * h;
            step.dc = carry(1, s.begin);
        }
        step.dy = dy.data;
        step.ld_dy = dy.stride;
        step.dh = carry(0, s.begin);
        step.dgates = dgates_[i].in(arena_) + in_rows * ld_gates(i);
        step.ld_dgates = ld_gates(i);
        if (net.extra() > 0) step.dextra = dextra_[i].in(arena_) + in_rows * h;
        net.cell().template steps<T>().backward(cells_[i], step, share);
    }

    // Of one head, but for what is different for one step and for all of a chunk.
    AttentionBackward<T> attention_backward(Index b, Index t, Index head, const DecoderChunk& c) const {
        AttentionBackward<T> a{};
        a.of = tape_.attention(b, t, head);
        const Index row = memory_.rows.first(tape_.reads[static_cast<std::size_t>(b)]);
        const Index part = head * a.of.width, value_part = head * a.of.value_width;
        a.dscores = dscores_.in(arena_) + dscores_first_[static_cast<std::size_t>(b)] * steps_ +
                    (t - c.chunk.lo) * tape_.weights_pitch(b) + head * padded_weights(a.of.steps);
        a.dkeys = out_.dkeys + row * memory_.width + part;
        a.ld_dkeys = memory_.width;
        a.dvalues = out_.dvalues + row * memory_.value_width + value_part;
        a.ld_dvalues = memory_.value_width;
        if (memory_.v) a.dv = dv_.in(arena_) + b * memory_.width + part;
        return a;
    }

    void attend(const StepRows& s, const DecoderChunk& c, const Worker& w) const {
        const Index width = memory_.width, h = layer_.hidden();
        const Matrix<T> dc = dcontext(s, c), dh = dhidden(s, c), dquery = in_chunk(dquery_, width, width, s, c);
        for (Index r = 0; r < s.rows; ++r) {
            for (Index head = 0; head < memory_.heads; ++head) {
                AttentionBackward<T> a = attention_backward(s.begin + r, s.t, head, c);
                a.dcontext = dc.row(r) + head * a.of.value_width;
                a.dquery = dquery.row(r) + head * a.of.width;
                kernels_.step.attention_scores_backward(a);
                kernels_.step.attention_query_backward(a);
            }
        }
        // with input feeding h has a gradient already
        if (!layer_.feeds_input()) {
            for (Index r = 0; r < s.rows; ++r) std::fill_n(dh.row(r), h, T(0));
        }
        if (projects_query_)
            packed_.query->add(arena_, {dquery.data, s.rows, width, width}, dh, false, w.scratch);
        else
            for (Index r = 0; r < s.rows; ++r) kernels_.step.add(dquery.row(r), h, dh.row(r));
    }

    // Of the keys and values that sequence b has attended to in the steps of a chunk; those of additive scores' keys
    // were added step by step.
    void add_memory_gradients(Index b, const DecoderChunk& c, const Worker& w) const {
        const Index last = std::min(c.chunk.hi, seq_.length(b)), count = last - c.chunk.lo;
        if (count <= 0 || tape_.memory_steps(b) == 0) return;
        const Index width = memory_.width, value_width = memory_.value_width;
        T* const queries = gathered_[static_cast<std::size_t>(w.thread)].in(arena_);
        T* const contexts = queries + steps_ * width;
        for (Index i = 0; i < count; ++i) {
            const Index row = seq_.first(c.chunk.lo + i) + b;
            if (!memory_.v)
                std::copy_n(tape_.queries ? tape_.queries + row * width : tape_.hidden.row(row), width,
                            queries + i * width);
            std::copy_n(djoint_.in(arena_) + (row - c.first) * ld_joint(), value_width, contexts + i * value_width);
        }
        for (Index head = 0; head < memory_.heads; ++head) {
            AttentionBackward<T> a = attention_backward(b, c.chunk.lo, head, c);
            a.of.queries = count;
            a.of.query = queries + head * a.of.width;
            a.of.ld_query = width;
            a.dcontext = contexts + head * a.of.value_width;
            a.ld_dcontext = value_width;
            kernels_.step.attention_memory_backward(a);
        }
    }

    void add_products(const DecoderChunk& c, const Worker& w) const {
        if (c.rows == 0) return;
        DecoderGradients<T> d{};
        for (int i = 0; i < layer_.cells(); ++i)
            d.cells[i] = {dgates_[i].in(arena_), layer_.cell(i).extra() > 0 ? dextra_[i].in(arena_) : nullptr};
        d.combined = combined_.in(arena_);
        d.queries = projects_query_ ? dquery_.in(arena_) : nullptr;
        // dx = da W_ix
        const Index width = layer_.input();
        const Range rows = w.share(c.rows, kernels_.whole.tile_rows);
        if (rows.first < rows.last)
            packed_.input.multiply(arena_,
                                   {d.cells[0].gates + rows.first * ld_gates(0), rows.last - rows.first,
                                    packed_.input.rows(), ld_gates(0)},
                                   nullptr,
                                   {out_.dx + (c.first + rows.first) * width, rows.last - rows.first, width, width},
                                   {0, width}, w);
        gradients_.add(arena_, c, d, out_.grads, w);
    }

    const AttentionRnnTape<T>& tape_;
    const AttentionRnn& layer_;
    const Sequence& seq_;
    const AttentionMemory<T>& memory_;
    const AttentionRnnBackwardInput<T>& in_;
    const AttentionRnnBackwardOutput<T>& out_;
    const PassKernels<T> kernels_;
    const int threads_;
    const Index steps_;  // of a chunk
    Arena arena_;
    ProductScratch scratch_;
    PackedAttentionRnnBackward<T> packed_;
    AttentionRnnGradients<T> gradients_;
    const bool projects_query_;
    Arena::Slot<T> carry_[kMostDecoderStates];                // [B,H] gradient of a state from later steps
    Arena::Slot<T> dgates_[kMostCells], dextra_[kMostCells];  // of the rows of a chunk, as the others:
    Arena::Slot<T> djoint_;                                   // [rows, C+H] of c and of h or q
    Arena::Slot<T> combined_, dquery_, dscores_;
    std::vector<Index> dscores_first_;         // by sequence, for one step
    Arena::Slot<T> dv_;                        // [B, A] by sequence, so that their sum has one order
    std::vector<Arena::Slot<T>> gathered_;     // by thread: queries and gradients of contexts of one sequence
    std::vector<std::vector<RowTask>> tasks_;  // by chunk
    BackwardWeights<T> cells_[kMostCells] = {};
};

}  // namespace

template <class T>
void run_backward(const AttentionRnnTape<T>& tape, const AttentionRnnArrays<const T>& params,
                  const AttentionRnnBackwardInput<T>& input, const AttentionRnnBackwardOutput<T>& output) {
    Backward<T>(tape, params, input, output).run();
}

#define RNNCORE_INSTANTIATE(T)                                                                 \
    template void run_backward(const AttentionRnnTape<T>&, const AttentionRnnArrays<const T>&, \
                               const AttentionRnnBackwardInput<T>&, const AttentionRnnBackwardOutput<T>&);
RNNCORE_INSTANTIATE(float)
RNNCORE_INSTANTIATE(double)
#undef RNNCORE_INSTANTIATE

}  // namespace rnncore
