#include "core/placement.hpp"

#if defined(__linux__)
#include <sched.h>
#endif

namespace rnncore {

#if defined(__linux__)

namespace {

constexpr int kProcessors = 64;
constexpr int kNone = -1;
thread_local int home = kNone;  // the processor taken in the present region

std::uint64_t bit(int processor) { return std::uint64_t{1} << processor; }

bool take(std::atomic<std::uint64_t>& taken, int processor) {
    if (taken.fetch_or(bit(processor), std::memory_order_relaxed) & bit(processor)) return false;
    home = processor;
    return true;
}

cpu_set_t allowed_processors() {
    cpu_set_t allowed;
    CPU_ZERO(&allowed);
    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) CPU_ZERO(&allowed);
    return allowed;
}

// To a processor and back to the permission to use others: the system moves a thread at once if it must.
void move_to(int processor, const cpu_set_t& allowed) {
    cpu_set_t only;
    CPU_ZERO(&only);
    CPU_SET(static_cast<unsigned>(processor), &only);
    if (sched_setaffinity(0, sizeof only, &only) == 0) sched_setaffinity(0, sizeof allowed, &allowed);
}

}  // namespace

void Placement::enter() {
    const int here = sched_getcpu();
    home = kNone;
    if (here < 0 || here >= kProcessors || take(taken_, here)) return;
    const cpu_set_t allowed = allowed_processors();
    for (int processor = 0; processor < kProcessors; ++processor) {
        if (CPU_ISSET(static_cast<unsigned>(processor), &allowed) && take(taken_, processor))
            return move_to(processor, allowed);
    }
}

void Placement::go_home() const {
    const int here = sched_getcpu();
    if (home == kNone || here == home || here < 0 || here >= kProcessors) return;
    if (!(taken_.load(std::memory_order_relaxed) & bit(here))) return;
    const cpu_set_t allowed = allowed_processors();
    if (CPU_ISSET(static_cast<unsigned>(home), &allowed)) move_to(home, allowed);
}

#else

void Placement::enter() {}
void Placement::go_home() const {}

#endif

}  // namespace rnncore
