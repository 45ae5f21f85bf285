#include "rnn/ctc/loss.hpp"

#include <algorithm>
#include <atomic>
#include <limits>

#include "core/memory.hpp"
#include "core/threads.hpp"
#include "dispatch/dispatch.hpp"

namespace rnncore {
namespace {

// What a frame costs in operations of a product, on one thread, by measurement: for each label and for each symbol.
constexpr double kFlopsPerLabel = 300, kFlopsPerSymbol = 30;

// Scratch of one thread, enough for each of the sequences in turn.
struct Scratch {
    Index frames = 0;       // of the longest sequence
    std::size_t bytes = 0;  // of the kernel
    double flops = 0;       // of all sequences
};

template <class T>
Scratch scratch_of(const Kernels<T>& k, const CtcProblem& p, bool gradient) {
    Scratch result;
    for (Index b = 0; b < p.batch; ++b) {
        const Index frames = p.frames[b], labels = p.counts[b];
        if (labels > frames) continue;
        const auto rows = static_cast<std::size_t>((gradient ? frames : 1) + kCtcSpareFrames);
        const std::size_t bytes = checked_product(rows, static_cast<std::size_t>(k.ctc_frame_bytes(labels)));
        result.frames = std::max(result.frames, frames);
        result.bytes = std::max(result.bytes, (bytes + kAlignment - 1) / kAlignment * kAlignment);
        result.flops += static_cast<double>(frames) * (kFlopsPerLabel * static_cast<double>(2 * labels + 1) +
                                                       kFlopsPerSymbol * static_cast<double>(p.symbols));
    }
    return result;
}

template <class T>
void run(const CtcProblem& p, bool gradient, double scale, T* z, double* losses) {
    const Kernels<T>& k = kernels<T>();
    const CtcPlaces places(p);
    const Scratch scratch = scratch_of(k, p, gradient);
    const int threads = static_cast<int>(std::min<Index>(threads_for(scratch.flops), std::max<Index>(p.batch, 1)));
    Arena arena;
    const auto bytes = arena.reserve<char>(checked_product(static_cast<std::size_t>(threads), scratch.bytes));
    const auto pointers =
        arena.reserve<T*>(checked_product(static_cast<std::size_t>(threads), static_cast<std::size_t>(scratch.frames)));
    const auto symbols = static_cast<std::size_t>(gradient ? 0 : p.symbols);
    const auto work = arena.reserve<T>(checked_product(static_cast<std::size_t>(threads), symbols));
    arena.take();
    std::atomic<Index> next{0};  // sequences differ in length: each thread takes one after the other
    run_parallel(threads, [&](int thread, Team& team) {
        T** const rows = pointers.in(arena) + thread * scratch.frames;
        for (Index b = next++; b < p.batch && !team.stopped(); b = next++) {
            const Index frames = p.frames[b], count = p.counts[b];
            const std::int64_t* const labels = p.labels + places.first_label(b);
            const Index* const places_of_rows = places.rows(b);
            if (CtcProblem::frames_needed(labels, count) > frames) {
                losses[b] = std::numeric_limits<double>::infinity();
                for (Index t = 0; gradient && t < frames; ++t)
                    std::fill_n(z + places_of_rows[t] * p.symbols, p.symbols, T(0));
                continue;
            }
            for (Index t = 0; t < frames; ++t) rows[t] = z + places_of_rows[t] * p.symbols;
            losses[b] = k.ctc({rows, frames, p.symbols, labels, count, p.blank, gradient, static_cast<T>(scale),
                               work.in(arena) + static_cast<std::size_t>(thread) * symbols,
                               bytes.in(arena) + static_cast<std::size_t>(thread) * scratch.bytes});
            team.poll(thread);
        }
    });
}

}  // namespace

template <class T>
void ctc_losses(const CtcProblem& problem, const T* z, double* losses) {
    run(problem, false, 1, const_cast<T*>(z), losses);  // only read
}

template <class T>
void ctc_gradient(const CtcProblem& problem, double scale, T* z, double* losses) {
    run(problem, true, scale, z, losses);
}

#define RNNCORE_INSTANTIATE(T)                                      \
    template void ctc_losses(const CtcProblem&, const T*, double*); \
    template void ctc_gradient(const CtcProblem&, double, T*, double*);
RNNCORE_INSTANTIATE(float)
RNNCORE_INSTANTIATE(double)
#undef RNNCORE_INSTANTIATE

}  // namespace rnncore
