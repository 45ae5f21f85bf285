// Where the threads of a region run. A system that wakes a thread may put it on the processor of the one that woke it,
// though another stands idle, and threads that wait for each other only briefly are then left there together for many
// milliseconds: the region runs as on one processor. A thread that finds itself so placed moves.
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
