// Threads: how many, the one parallel region of a call, and the check for the user's interrupt inside it.
#pragma once

#include <atomic>
#include <cstddef>
#include <functional>

#include "core/error.hpp"
#include "core/floating_point.hpp"
#include "core/placement.hpp"

namespace rnncore {

int get_num_threads();        // Invalid where RNNCORE_NUM_THREADS is no such number
void set_num_threads(int n);  // Invalid unless n >= 1; unlike the default, not limited to the processors there are
bool has_openmp();

// The number of threads that pays off for the work: waking one takes about ten microseconds.
int threads_for(double flops);

// True when the user has asked to stop (the binding installs the question); called by a call's first thread.
extern std::atomic<bool (*)()> interrupt_requested;

// The threads of one parallel region.
class Team {
public:
    int size() const { return size_.load(std::memory_order_relaxed); }  // may be less than was asked for

    // Waits for the others: a tenth of a millisecond awake, then asleep. OpenMP's own barrier stays awake for
    // milliseconds; if another program needs the processor, the awaited thread is the one that does not get it. Returns
    // whether to go on: all threads get the same answer.
    bool barrier();

    // Thread 0 looks for an interrupt, at most ten times a second; the others' calls do nothing. Threads see stopped()
    // at different moments: whatever it says, all must go on to pass the same barriers.
    void poll(int thread);
    bool stopped() const { return stop_.load(std::memory_order_relaxed); }
    void stop() { stop_.store(true, std::memory_order_relaxed); }

private:
    friend void run_parallel(int threads, const std::function<void(int, Team&)>& work);
    Placement placement_;
    std::atomic<int> size_{1};
    std::atomic<int> arrived_{0};
    std::atomic<int> generation_{0};  // barriers passed
    std::atomic<bool> stop_{false};
    std::atomic<bool> stopped_at_barrier_{false};  // at the last one
    double last_look_ = 0;
};

// Runs work(thread, team) on `threads` threads with subnormals flushed; throws Interrupted where the team was stopped.
// `work` must not throw: memory is taken before the region begins.
void run_parallel(int threads, const std::function<void(int, Team&)>& work);

// The part of [0, n) that falls to `thread` of `threads`, in multiples of `unit`.
struct Range {
    std::ptrdiff_t first, last;
};
Range share(std::ptrdiff_t n, int thread, int threads, std::ptrdiff_t unit = 1);

}  // namespace rnncore
