#include "rnn/attention/attention.hpp"

#include <algorithm>
#include <functional>

#include "dispatch/dispatch.hpp"
#include "rnn/matrix.hpp"

namespace rnncore {
namespace {

// Queries that follow each other and read the same sequence.
struct Span {
    Index sequence;
    Index first, count;   // rows of queries
    std::size_t weights;  // where those of the first head begin
    double before;        // operations of the spans before it
};

// What is to be done, as spans; where they begin, in operations, says which thread has which.
class Work {
public:
    template <class T>
    Work(const AttentionMemory<T>& memory, Index count, double passes)
        : rows_(&memory.rows),
          heads_(memory.heads),
          flops_per_score_(passes * (static_cast<double>(memory.width) * (memory.v ? kFlopsPerTanh : 2) +
                                     2 * static_cast<double>(memory.value_width))) {
        require_memory(checked_product(static_cast<std::size_t>(count), sizeof(Span)));
        spans_.reserve(static_cast<std::size_t>(count));
    }

    void add(Index sequence, Index first, Index count);
    // Calls body(span) for the share of one thread; the shares take about as long.
    void run(const Worker& worker, const std::function<void(const Span&)>& body) const;

    int threads() const { return threads_for(flops_); }
    std::size_t most_weights() const { return most_weights_; }  // elements of the largest span
    std::size_t most_queries() const { return static_cast<std::size_t>(most_queries_); }

private:
    static constexpr double kFlopsPerTanh = 40;

    const Joined* rows_;
    Index heads_;
    double flops_per_score_, flops_ = 0;
    std::vector<Span> spans_;
    std::size_t weights_ = 0, most_weights_ = 0;
    Index most_queries_ = 0;
};

void Work::add(Index sequence, Index first, Index count) {
    constexpr double kFlopsPerQuery = 1000;  // what stands around a call of a kernel
    const Index steps = rows_->length(sequence);
    spans_.push_back({sequence, first, count, weights_, flops_});
    flops_ += static_cast<double>(count) * (static_cast<double>(steps) * flops_per_score_ + kFlopsPerQuery);
    const auto own = static_cast<std::size_t>(heads_ * count * padded_weights(steps));
    weights_ += own;
    most_weights_ = std::max(most_weights_, own);
    most_queries_ = std::max(most_queries_, count);
}

void Work::run(const Worker& worker, const std::function<void(const Span&)>& body) const {
    const double share = flops_ / worker.team.size();
    const bool last = worker.thread + 1 == worker.team.size();
    const double lo = share * worker.thread, hi = share * (worker.thread + 1);
    for (const Span& span : spans_) {
        if (span.before < lo || worker.stopped()) continue;
        if (span.before >= hi && !last) break;
        body(span);
        worker.poll();
    }
}

Work whole_sequences(Work work, const Joined& queries) {
    for (Index b = 0; b < queries.batch(); ++b) work.add(b, queries.first(b), queries.length(b));
    return work;
}

// One head of a span, but for its context.
template <class T>
Attention<T> head_of(const AttentionMemory<T>& m, const T* query, const Span& span, Index head, T* weights) {
    const Index steps = m.rows.length(span.sequence), first = m.rows.first(span.sequence), ld = padded_weights(steps);
    const Index width = m.width / m.heads, value_width = m.value_width / m.heads;
    return {.queries = span.count,
            .steps = steps,
            .width = width,
            .value_width = value_width,
            .query = query + span.first * m.width + head * width,
            .ld_query = m.width,
            .keys = m.keys + first * m.width + head * width,
            .ld_keys = m.width,
            .values = m.values + first * m.value_width + head * value_width,
            .ld_values = m.value_width,
            .v = m.v ? m.v + head * width : nullptr,
            .scale = m.scale,
            .weights = weights + head * span.count * ld,
            .ld_weights = ld,
            .context = nullptr,
            .ld_context = 0};
}

}  // namespace

template <class T>
std::size_t weights_size(const AttentionMemory<T>& memory, const Joined& queries) {
    std::size_t size = 0;
    for (Index b = 0; b < queries.batch(); ++b)
        size += checked_product(static_cast<std::size_t>(queries.length(b)),
                                static_cast<std::size_t>(memory.heads * padded_weights(memory.rows.length(b))));
    return size;
}

template <class T>
void attend(const AttentionMemory<T>& memory, const Joined& queries, const T* query, Index steps, T* context,
            T* weights) {
    const Kernels<T>& kernel = kernels<T>();
    const Work work = whole_sequences({memory, queries.batch(), 1}, queries);
    const Index width = memory.value_width, row = queries.batch() * width;
    const int threads = work.threads();
    Arena arena;
    const auto scratch = arena.reserve<T>(weights ? 0 : checked_product(work.most_weights(), std::size_t(threads)));
    arena.take();
    run_parallel(threads, [&](int thread, Team& team) {
        work.run({thread, team}, [&](const Span& span) {
            T* const own = weights ? weights + span.weights
                                   : scratch.in(arena) + static_cast<std::size_t>(thread) * work.most_weights();
            T* const to = context + span.sequence * width;
            for (Index head = 0; head < memory.heads; ++head) {
                Attention<T> a = head_of(memory, query, span, head, own);
                a.context = to + head * a.value_width;
                a.ld_context = row;
                kernel.attention(a);
            }
            for (Index t = span.count; t < steps; ++t) std::fill_n(to + t * row, width, T(0));
        });
    });
}

template <class T>
void attend_backward(const AttentionMemory<T>& memory, const Joined& queries, const T* query, const T* weights,
                     const AttentionGradients<T>& out) {
    const Kernels<T>& kernel = kernels<T>();
    const Work work = whole_sequences({memory, queries.batch(), 2}, queries);
    const int threads = work.threads();
    const Index batch = queries.batch(), width = memory.value_width;
    const auto each = static_cast<std::size_t>(threads);
    const auto rows_size = checked_product(work.most_queries(), static_cast<std::size_t>(width));
    Arena arena;
    const auto rows = arena.reserve<T>(checked_product(rows_size, each));
    const auto scores = arena.reserve<T>(checked_product(work.most_weights(), each));
    const auto dv = arena.reserve<T>(
        memory.v ? checked_product(static_cast<std::size_t>(batch), static_cast<std::size_t>(memory.width)) : 0);
    arena.take();
    run_parallel(threads, [&](int thread, Team& team) {
        const Worker worker{thread, team};
        T* const dcontext = rows.in(arena) + static_cast<std::size_t>(thread) * rows_size;
        T* const dscores = scores.in(arena) + static_cast<std::size_t>(thread) * work.most_weights();
        work.run(worker, [&](const Span& span) {
            const Index first = memory.rows.first(span.sequence), steps = memory.rows.length(span.sequence);
            for (Index t = 0; t < span.count; ++t)
                copy_row(out.dcontext, t, span.sequence, width, dcontext + t * width);
            std::fill_n(out.dvalues + first * width, steps * width, T(0));
            if (out.dkeys != out.dvalues) std::fill_n(out.dkeys + first * memory.width, steps * memory.width, T(0));
            T* const own_dv = dv.in(arena) + span.sequence * memory.width;
            if (memory.v) std::fill_n(own_dv, memory.width, T(0));
            for (Index head = 0; head < memory.heads; ++head) {
                AttentionBackward<T> a{};
                a.of = head_of(memory, query, span, head, const_cast<T*>(weights) + span.weights);
                const Index part = head * a.of.width, value_part = head * a.of.value_width;
                a.dcontext = dcontext + value_part;
                a.ld_dcontext = a.ld_dvalues = width;
                a.dscores = dscores;
                a.dquery = out.dquery + span.first * memory.width + part;
                a.dkeys = out.dkeys + first * memory.width + part;
                a.ld_dquery = a.ld_dkeys = memory.width;
                a.dv = own_dv + part;
                a.dvalues = out.dvalues + first * width + value_part;
                kernel.attention_scores_backward(a);
                kernel.attention_query_backward(a);
                kernel.attention_memory_backward(a);
            }
        });
        if (worker.barrier() && memory.v)
            add_column_sums(kernel, {dv.in(arena), batch, memory.width, memory.width}, out.dv, worker);
    });
}

template <class T>
void attend_rows(const AttentionMemory<T>& memory, const QueryRows& rows, const T* query, T* context, T* weights) {
    const Kernels<T>& kernel = kernels<T>();
    Work work(memory, rows.count, 1);
    for (Index first = 0, next; first < rows.count; first = next) {
        for (next = first + 1; next < rows.count && rows.of[next] == rows.of[first];) ++next;
        work.add(static_cast<Index>(rows.of[first]), first, next - first);
    }
    const int threads = work.threads();
    Arena arena;
    const auto scratch = arena.reserve<T>(checked_product(work.most_weights(), static_cast<std::size_t>(threads)));
    arena.take();
    run_parallel(threads, [&](int thread, Team& team) {
        T* const own = scratch.in(arena) + static_cast<std::size_t>(thread) * work.most_weights();
        work.run({thread, team}, [&](const Span& span) {
            T* const means = weights + span.first * rows.steps;
            std::fill_n(means, span.count * rows.steps, T(0));
            for (Index head = 0; head < memory.heads; ++head) {
                Attention<T> a = head_of(memory, query, span, head, own);
                a.context = context + span.first * memory.value_width + head * a.value_width;
                a.ld_context = memory.value_width;
                kernel.attention(a);
                for (Index t = 0; t < span.count; ++t)
                    kernel.add(a.weights + t * a.ld_weights, a.steps, means + t * rows.steps);
            }
            if (memory.heads > 1) kernel.scale(T(1) / static_cast<T>(memory.heads), span.count * rows.steps, means);
        });
    });
}

#define RNNCORE_INSTANTIATE(T)                                                                  \
    template std::size_t weights_size(const AttentionMemory<T>&, const Joined&);                \
    template void attend(const AttentionMemory<T>&, const Joined&, const T*, Index, T*, T*);    \
    template void attend_backward(const AttentionMemory<T>&, const Joined&, const T*, const T*, \
                                  const AttentionGradients<T>&);                                \
    template void attend_rows(const AttentionMemory<T>&, const QueryRows&, const T*, T*, T*);
RNNCORE_INSTANTIATE(float)
RNNCORE_INSTANTIATE(double)
#undef RNNCORE_INSTANTIATE

}  // namespace rnncore
