// The threads that OpenMP starts for the regions of one caller. Where the system refuses it a thread or memory, it ends
// the process; so both are asked for before.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>

namespace rnncore {

// One for each thread that begins parallel regions: OpenMP keeps threads for each of them. It lets some end when a
// region is smaller than the one before, and starts others for the next large one. What the system has granted once is
// not tried again: that would take as long as the work of a small region.
class Crew {
public:
    static Crew& of_this_thread();
    Crew() = default;
    ~Crew();
    Crew(const Crew&) = delete;
    Crew& operator=(const Crew&) = delete;

    // How many of `wanted` threads, the calling one among them, a region that begins now can have. The lock is to be
    // held until all are there: another caller would count on the same threads and memory.
    int muster(int wanted, std::unique_lock<std::mutex>& lock);

    // Called by each other thread of a region when it begins: it is counted until it ends.
    void join();

private:
    struct Membership;
    void grow(int wanted);

    std::shared_ptr<std::atomic<int>> members_ = std::make_shared<std::atomic<int>>(0);
    int last_ = 1;     // threads of the last region
    int granted_ = 1;  // of the largest
};

}  // namespace rnncore
