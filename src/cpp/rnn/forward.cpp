// A pass is carried out as its plan says (rnn/plan.hpp): layer by layer, or in stages of one chunk of every layer.
#include "rnn/forward.hpp"

#include <algorithm>

#include "core/threads.hpp"
#include "dispatch/dispatch.hpp"
#include "rnn/forward_chunk.hpp"

namespace rnncore {
namespace {

std::size_t as_size(Index n) { return static_cast<std::size_t>(n); }

template <class T>
class Forward {
public:
    // `frozen`: null, or the parameters with weights that need not be packed.
    Forward(Tape<T>& tape, const T* params, const FrozenWeights<T>* frozen, const std::vector<T*>& final_state)
        : tape_(tape),
          net_(tape.network),
          seq_(tape.sequence),
          kernels_(pass_kernels<T>(net_, seq_.batch(), tape.all_rows)),
          plan_(plan_forward(net_, kernels_, seq_,
                             {tape.one_hot != nullptr, tape.drops && !tape.keeps, frozen != nullptr})),
          pass_{tape, kernels_, plan_, params, final_state},
          product_scratch_(arena_, kernels_.product_scratch_bytes(), plan_.threads) {
        const GateColumns gates = plan_.by_units() ? GateColumns::apart : GateColumns::together;
        reserve_weights(!frozen, gates);
        for (Index layer = 0; layer < (plan_.by_layers() ? net_.layers() : 1); ++layer) {
            for (const ForwardTask& task : plan_.tasks) reserve_scratch(task);
        }
        arena_.take();
        if (frozen) weights_ = frozen->packed({kernels_, gates, !tape.one_hot});
        for (const PackedForward<T>& p : packed_) weights_.push_back(p.in(arena_));
        for (Index d = 0; d < net_.directions() && tape.one_hot; ++d) pass_.tables[d] = tables_[d].in(arena_);
    }

    void run() {
        run_parallel(plan_.threads, [this](int thread, Team& team) {
            const Worker w{thread, team, product_scratch_.of(arena_, thread)};
            if (plan_.by_layers()) return run_staggered(w);
            for (Index layer = 0; layer < net_.layers(); ++layer) run_layer(layer, w);
        });
    }

private:
    // What one task needs in one layer.
    struct TaskScratch {
        Arena::Slot<T> gates, extra, piece;
        Arena::Slot<RowBlock<T>> blocks;
    };

    std::size_t index(Index layer, Index d) const { return as_size(layer * net_.directions() + d); }

    void reserve_weights(bool packs, GateColumns gates) {
        const std::size_t mark = arena_.mark();
        for (Index layer = 0; layer < net_.layers(); ++layer) {
            if (!plan_.by_layers()) arena_.rewind(mark);  // the layers run one after the other
            const bool one_hot = pass_.one_hot(layer), packs_input = !one_hot && !plan_.packs_pieces(layer);
            for (Index d = 0; d < net_.directions(); ++d) {
                if (packs) packed_.emplace_back(arena_, kernels_, net_, layer, packs_input, gates);
                if (one_hot)
                    tables_[d] = arena_.reserve<T>(
                        checked_product(as_size(tape_.one_hot->used()), as_size(net_.gate_columns())));
            }
        }
        arena_.rewind(arena_.size());
    }

    void reserve_scratch(const ForwardTask& task) {
        const Index workers = plan_.threads_of_task(), rows = task.rows.rows();
        TaskScratch s;
        s.blocks = arena_.reserve<RowBlock<T>>(as_size(task.chunk_steps * workers));
        s.piece = arena_.reserve<T>(checked_product(as_size(workers), as_size(plan_.piece_size)));
        if (!tape_.keeps) {
            s.gates = arena_.reserve<T>(as_size(rows * task.chunk_steps * row_pitch<T>(net_.kept_gates())));
            s.extra = arena_.reserve<T>(as_size(rows * net_.extra()));
        }
        scratch_.push_back(s);
    }

    // Packs the weights of a layer; a barrier later they may be read.
    void begin_layer(Index layer, const Worker& w) const {
        for (Index d = 0; d < net_.directions() && !packed_.empty(); ++d)
            packed_[index(layer, d)].fill(arena_, pass_.params, d, w);
        if (!pass_.one_hot(layer)) return;
        w.barrier();
        for (Index d = 0; d < net_.directions(); ++d) {
            const Range part = w.share(net_.gate_columns(), kernels_.whole.lanes);
            tape_.one_hot->look_up(pass_.params + net_.offsets(0, d).weight_ih, net_.input(0),
                                   weights_[index(0, d)].bias, net_.gate_columns(), tables_[d].in(arena_), part.first,
                                   part.last);
        }
    }

    void run_layer(Index layer, const Worker& w) const {
        begin_layer(layer, w);
        w.barrier();
        const Range mine = plan_.by_units() ? Range{0, 1} : w.tasks(plan_.task_count());
        for (Index i = mine.first; i < mine.last; ++i) {
            for (Index chunk = 0; chunk < plan_.tasks[as_size(i)].chunks && run_chunk(layer, i, chunk, w);) ++chunk;
        }
        w.barrier();
        if (!tape_.layers[as_size(layer)].dropped) return;
        pass_.drop(layer, w.share(seq_.rows() * net_.output(), kernels_.whole.lanes));
        w.barrier();
    }

    // A stage is one chunk of every layer.
    void run_staggered(const Worker& w) const {
        for (Index layer = 0; layer < net_.layers(); ++layer) begin_layer(layer, w);
        bool go_on = w.barrier();
        const Index chunks = plan_.tasks[0].chunks, tasks = plan_.task_count();
        const Range mine = w.tasks(net_.layers() * tasks);
        for (Index stage = 0; stage < chunks + net_.layers() - 1 && go_on; ++stage) {
            for (Index i = mine.first; i < mine.last; ++i) {
                const Index layer = i / tasks, chunk = stage - layer;
                if (chunk >= 0 && chunk < chunks) run_chunk(layer, i % tasks, chunk, w);
            }
            go_on = w.barrier();
        }
    }

    bool run_chunk(Index layer, Index number, Index chunk, const Worker& w) const {
        const ForwardTask& task = plan_.tasks[as_size(number)];
        const TaskScratch& at = scratch_[as_size(plan_.by_layers() ? layer * plan_.task_count() + number : number)];
        const Index worker = plan_.by_units() ? w.thread : 0;
        const ForwardScratch<T> scratch{at.gates.in(arena_), at.extra.in(arena_),
                                        at.blocks.in(arena_) + worker * task.chunk_steps,
                                        at.piece.in(arena_) + worker * plan_.piece_size};
        UnitShare share{{0, net_.units()}, nullptr, w.scratch};
        if (plan_.by_units()) share = {w.share(net_.units(), kernels_.step.tile_columns), &w.team, w.scratch};
        return ForwardChunk<T>(pass_, task, layer, chunk, weights_[index(layer, task.rows.direction)], scratch, share)
            .run(w);
    }

    const Tape<T>& tape_;
    const Network& net_;
    const Sequence& seq_;
    const PassKernels<T> kernels_;
    const ForwardPlan plan_;
    ForwardPass<T> pass_;
    Arena arena_;
    ProductScratch product_scratch_;
    std::vector<PackedForward<T>> packed_;    // by layer and direction; of frozen weights none
    std::vector<ForwardWeights<T>> weights_;  // the same
    Arena::Slot<T> tables_[2];                // by direction
    std::vector<TaskScratch> scratch_;        // by task; with Division::layers by layer and task
};

}  // namespace

template <class T>
void run_forward(Tape<T>& tape, const T* params, const std::vector<T*>& final_state) {
    Forward<T>(tape, params, nullptr, final_state).run();
}

template <class T>
void run_forward(Tape<T>& tape, const FrozenWeights<T>& frozen, const std::vector<T*>& final_state) {
    Forward<T>(tape, frozen.params(), &frozen, final_state).run();
}

template void run_forward<float>(Tape<float>&, const float*, const std::vector<float*>&);
template void run_forward<double>(Tape<double>&, const double*, const std::vector<double*>&);
template void run_forward<float>(Tape<float>&, const FrozenWeights<float>&, const std::vector<float*>&);
template void run_forward<double>(Tape<double>&, const FrozenWeights<double>&, const std::vector<double*>&);

}  // namespace rnncore
