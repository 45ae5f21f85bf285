#include "core/placement.hpp"

#if defined(__linux__)
#include <sched.h>
#endif

namespace rnncore {

#if defined(__linux__)

namespace {

constexpr int kProcessors = 64;
constexpr int kNone = -1;
thread_local int mine = kNone;  // the processor taken in the present region

std::uint64_t bit(int processor) { return std::uint64_t{1} << processor; }

// To a processor and back to the permission to use others: the system moves a thread at once if it must.
void move_to(int processor, const cpu_set_t& allowed) {
    cpu_set_t only;
    CPU_ZERO(&only);
    CPU_SET(static_cast<unsigned>(processor), &only);
    if (sched_setaffinity(0, sizeof only, &only) == 0) sched_setaffinity(0, sizeof allowed, &allowed);
}

}  // namespace

bool Placement::take(int processor) {
    if (taken_.fetch_or(bit(processor), std::memory_order_relaxed) & bit(processor)) return false;
    if (mine != kNone) taken_.fetch_and(~bit(mine), std::memory_order_relaxed);
    mine = processor;
    return true;
}

void Placement::enter() {
    mine = kNone;
    settle();
}

void Placement::settle() {
    const int here = sched_getcpu();
    if (here < 0 || here >= kProcessors) return;
    if (here == mine || take(here)) return;
    cpu_set_t allowed;
    CPU_ZERO(&allowed);
    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return;
    for (int processor = 0; processor < kProcessors; ++processor) {
        if (!CPU_ISSET(static_cast<unsigned>(processor), &allowed)) continue;
        if (processor == mine || take(processor)) return move_to(processor, allowed);
    }
}

#else

bool Placement::take(int) { return true; }
void Placement::enter() {}
void Placement::settle() {}

#endif

}  // namespace rnncore
