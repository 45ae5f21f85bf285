#include "rnn/attention/attention.hpp"

#include <algorithm>

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

template <class T>
struct Work {
    std::vector<Span> spans;
    double flops = 0;
    std::size_t weights = 0, most_weights = 0;  // elements of all spans, and of the largest
    Index most_queries = 0;

    // `passes`: products of queries and steps
    void add(const AttentionMemory<T>& memory, Index sequence, Index first, Index count, double passes) {
        constexpr double kFlopsPerTanh = 40;
        const Index steps = memory.rows.length(sequence);
        spans.push_back({sequence, first, count, weights, flops});
        const double width = static_cast<double>(memory.width) * (memory.v ? kFlopsPerTanh : 2);
        flops += passes * static_cast<double>(count) *
                 (static_cast<double>(steps) * (width + 2 * static_cast<double>(memory.value_width)) + 100);
        const auto own = static_cast<std::size_t>(memory.heads * count * padded_weights(steps));
        weights += own;
        most_weights = std::max(most_weights, own);
        most_queries = std::max(most_queries, count);
    }

    // Calls body(span) for the share of one thread; the shares take about as long.
    template <class Body>
    void run(const Worker& worker, const Body& body) const {
        const double share = flops / worker.team.size();
        const double lo = share * worker.thread, hi = share * (worker.thread + 1);
        for (const Span& span : spans) {
            if (span.before < lo || worker.stopped()) continue;
            if (span.before >= hi && worker.thread + 1 < worker.team.size()) break;
            body(span);
            worker.poll();
        }
    }
};

template <class T>
Work<T> whole_sequences(const AttentionMemory<T>& memory, const Joined& queries, double passes) {
    require_memory(checked_product(static_cast<std::size_t>(queries.batch()), sizeof(Span)));
    Work<T> work;
    work.spans.reserve(static_cast<std::size_t>(queries.batch()));
    for (Index b = 0; b < queries.batch(); ++b) work.add(memory, b, queries.first(b), queries.length(b), passes);
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
    const Work<T> work = whole_sequences(memory, queries, 1);
    const Index width = memory.value_width, row = queries.batch() * width;
    const int threads = threads_for(work.flops);
    Arena arena;
    const auto scratch = arena.reserve<T>(weights ? 0 : checked_product(work.most_weights, std::size_t(threads)));
    arena.take();
    run_parallel(threads, [&](int thread, Team& team) {
        work.run({thread, team}, [&](const Span& span) {
            T* const own = weights ? weights + span.weights
                                   : scratch.in(arena) + static_cast<std::size_t>(thread) * work.most_weights;
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
    const Work<T> work = whole_sequences(memory, queries, memory.v ? 3 : 2);
    const int threads = threads_for(work.flops);
    const Index batch = queries.batch(), width = memory.value_width;
    const auto each = static_cast<std::size_t>(threads);
    const auto rows_size =
        checked_product(static_cast<std::size_t>(work.most_queries), static_cast<std::size_t>(width));
    Arena arena;
    const auto rows = arena.reserve<T>(checked_product(rows_size, each));
    const auto scores = arena.reserve<T>(checked_product(work.most_weights, each));
    const auto dv = arena.reserve<T>(
        memory.v ? checked_product(static_cast<std::size_t>(batch), static_cast<std::size_t>(memory.width)) : 0);
    arena.take();
    run_parallel(threads, [&](int thread, Team& team) {
        const Worker worker{thread, team};
        T* const dcontext = rows.in(arena) + static_cast<std::size_t>(thread) * rows_size;
        T* const dscores = scores.in(arena) + static_cast<std::size_t>(thread) * work.most_weights;
        work.run(worker, [&](const Span& span) {
            const Index first = memory.rows.first(span.sequence), steps = memory.rows.length(span.sequence);
            const Strided<const T>& from = out.dcontext;
            for (Index t = 0; t < span.count; ++t) {
                const T* const source = from.data + t * from.step + span.sequence * from.row;
                for (Index i = 0; i < width; ++i) dcontext[t * width + i] = source[i * from.column];
            }
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
    require_memory(checked_product(static_cast<std::size_t>(rows.count), sizeof(Span)));
    Work<T> work;
    work.spans.reserve(static_cast<std::size_t>(rows.count));
    for (Index first = 0, next; first < rows.count; first = next) {
        for (next = first + 1; next < rows.count && rows.of[next] == rows.of[first];) ++next;
        work.add(memory, static_cast<Index>(rows.of[first]), first, next - first, 1);
    }
    const int threads = threads_for(work.flops);
    Arena arena;
    const auto scratch = arena.reserve<T>(checked_product(work.most_weights, static_cast<std::size_t>(threads)));
    arena.take();
    run_parallel(threads, [&](int thread, Team& team) {
        T* const own = scratch.in(arena) + static_cast<std::size_t>(thread) * work.most_weights;
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
