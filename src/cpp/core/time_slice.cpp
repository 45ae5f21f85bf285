#include "core/time_slice.hpp"

#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace rnncore {

#if defined(__linux__) && defined(SYS_sched_setattr) && defined(SYS_sched_getattr)

namespace {

// The first form of the kernel's struct sched_attr, which the C library does not declare.
struct Attributes {
    std::uint32_t size;
    std::uint32_t policy;
    std::uint64_t flags;
    std::int32_t nice;
    std::uint32_t priority;
    std::uint64_t runtime;  // of ordinary threads: the slice, in nanoseconds
    std::uint64_t deadline;
    std::uint64_t period;
};

constexpr std::uint64_t kShortest = 100'000;  // the least that Linux grants

// Sets the slice of the calling thread; returns what it was, 0 where it cannot be set.
std::uint64_t set_slice(std::uint64_t nanoseconds) {
    Attributes attributes{};
    if (syscall(SYS_sched_getattr, 0, &attributes, sizeof attributes, 0) != 0) return 0;
    const bool ordinary = attributes.policy == 0;  // others have no slice, or it means something else there
    const std::uint64_t before = attributes.runtime;
    if (!ordinary || before == 0 || before == nanoseconds) return 0;
    attributes.runtime = nanoseconds;
    return syscall(SYS_sched_setattr, 0, &attributes, 0) == 0 ? before : 0;
}

}  // namespace

ShortTimeSlice::ShortTimeSlice() : before_(set_slice(kShortest)) {}

ShortTimeSlice::~ShortTimeSlice() {
    if (before_) set_slice(before_);
}

#else

ShortTimeSlice::ShortTimeSlice() = default;
ShortTimeSlice::~ShortTimeSlice() = default;

#endif

}  // namespace rnncore
