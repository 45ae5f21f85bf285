#include "core/placement.hpp"

#if defined(__linux__)
#include <sched.h>
#endif

namespace rnncore {

#if defined(__linux__)

namespace {

constexpr int kProcessors = 64;

bool take(std::atomic<std::uint64_t>& taken, int processor) {
    const std::uint64_t bit = std::uint64_t{1} << processor;
    return !(taken.fetch_or(bit, std::memory_order_relaxed) & bit);
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
    if (here < 0 || here >= kProcessors || take(taken_, here)) return;
    cpu_set_t allowed;
    CPU_ZERO(&allowed);
    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return;
    for (int processor = 0; processor < kProcessors; ++processor) {
        if (CPU_ISSET(static_cast<unsigned>(processor), &allowed) && take(taken_, processor))
            return move_to(processor, allowed);
    }
}

#else

void Placement::enter() {}

#endif

}  // namespace rnncore
