#include "rnn/ctc/align.hpp"

#include <algorithm>
#include <atomic>
#include <limits>
#include <utility>

#include "core/memory.hpp"
#include "core/threads.hpp"

namespace rnncore {
namespace {

constexpr double kNever = -std::numeric_limits<double>::infinity();
constexpr double kFlopsPerState = 30;  // of one frame; by measurement

struct Path {
    const std::int64_t* labels;
    Index states, blank;

    Index symbol(Index state) const { return state % 2 ? static_cast<Index>(labels[state / 2]) : blank; }
    bool skips(Index state) const { return state % 2 && state > 1 && symbol(state) != symbol(state - 2); }
};

// score'(s) = log p(symbol of s) + the greatest of score(s), score(s - 1) and, where a path may go so, score(s - 2).
// steps [frames, states]: how many states back the greatest is.
template <class T>
double best_path(const Path& path, const T* log_p, Index symbols, const Index* rows, Index frames, unsigned char* steps,
                 double* scores, double* before, Index* states) {
    std::fill_n(before, path.states, kNever);
    before[0] = 0;
    for (Index t = 0; t < frames; ++t) {
        const T* const p = log_p + rows[t] * symbols;
        for (Index s = 0; s < path.states; ++s) {
            unsigned char step = 0;
            double best = before[s];
            if (s > 0 && before[s - 1] > best) best = before[s - 1], step = 1;
            if (path.skips(s) && before[s - 2] > best) best = before[s - 2], step = 2;
            steps[t * path.states + s] = step;
            scores[s] = best + static_cast<double>(p[path.symbol(s)]);
        }
        std::swap(scores, before);
    }
    const Index last = path.states - 1;
    Index state = last > 0 && before[last - 1] > before[last] ? last - 1 : last;
    const double score = before[state];
    for (Index t = frames; t-- > 0;) {
        states[rows[t]] = state;
        state -= steps[t * path.states + state];
    }
    return score;
}

}  // namespace

template <class T>
void ctc_align(const CtcProblem& p, const T* log_p, Index* states, double* scores) {
    const CtcPlaces places(p);
    std::size_t most_steps = 0, most_states = 0;
    double flops = 0;
    for (Index b = 0; b < p.batch; ++b) {
        if (p.counts[b] > p.frames[b]) continue;
        const auto count = static_cast<std::size_t>(2 * p.counts[b] + 1);
        most_states = std::max(most_states, count);
        most_steps = std::max(most_steps, checked_product(count, static_cast<std::size_t>(p.frames[b])));
        flops += kFlopsPerState * static_cast<double>(count) * static_cast<double>(p.frames[b]);
    }
    const int threads = static_cast<int>(std::min<Index>(threads_for(flops), std::max<Index>(p.batch, 1)));
    Arena arena;
    const auto all_steps = arena.reserve<unsigned char>(checked_product(static_cast<std::size_t>(threads), most_steps));
    const auto all_scores = arena.reserve<double>(checked_product(2 * static_cast<std::size_t>(threads), most_states));
    arena.take();
    std::atomic<Index> next{0};
    run_parallel(threads, [&](int thread, Team& team) {
        unsigned char* const steps = all_steps.in(arena) + static_cast<std::size_t>(thread) * most_steps;
        double* const two = all_scores.in(arena) + static_cast<std::size_t>(thread) * 2 * most_states;
        for (Index b = next++; b < p.batch && !team.stopped(); b = next++) {
            const Path path{p.labels + places.first_label(b), 2 * p.counts[b] + 1, p.blank};
            const Index* const rows = places.rows(b);
            if (CtcProblem::frames_needed(path.labels, p.counts[b]) > p.frames[b]) {
                for (Index t = 0; t < p.frames[b]; ++t) states[rows[t]] = 0;
                scores[b] = kNever;
                continue;
            }
            scores[b] = best_path(path, log_p, p.symbols, rows, p.frames[b], steps, two, two + most_states, states);
            team.poll(thread);
        }
    });
}

template void ctc_align(const CtcProblem&, const float*, Index*, double*);
template void ctc_align(const CtcProblem&, const double*, Index*, double*);

}  // namespace rnncore
