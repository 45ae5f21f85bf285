// Where the threads of a region run. The system may wake a thread on the processor of the thread that woke it, although
// another processor is idle. Threads that wait for each other only briefly then share it for many milliseconds, and the
// region runs as if on one processor. A thread that finds itself so placed moves.
#pragma once

#include <atomic>
#include <cstdint>

namespace rnncore {

// The processors of one region's threads.
class Placement {
public:
    // Takes a processor that no other thread of the region has: the present one, or else one of those that this thread
    // may use, if any is left. Called by each thread when it begins.
    void enter();

    // Goes back to that processor if the present one is another thread's. Called by a thread that has slept: the one
    // that woke it may have drawn it to its own.
    void go_home() const;

private:
    std::atomic<std::uint64_t> taken_{0};  // of the first 64 processors
};

}  // namespace rnncore
