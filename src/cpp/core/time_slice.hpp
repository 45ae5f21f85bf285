// The time slice that the system gives a thread where others want its processor too.
#pragma once

#include <cstdint>

namespace rnncore {

// Asks for short slices while it lives, then restores the thread's former slice. The thread's share of the processor
// stays the same, but the thread runs sooner: threads that wait for each other come to a halt if each first waits for a
// whole slice of another program. Only Linux 6.12 and newer support this; elsewhere nothing happens.
class ShortTimeSlice {
public:
    ShortTimeSlice();
    ~ShortTimeSlice();
    ShortTimeSlice(const ShortTimeSlice&) = delete;
    ShortTimeSlice& operator=(const ShortTimeSlice&) = delete;

private:
    std::uint64_t before_ = 0;  // nanoseconds; 0 where nothing was changed
};

}  // namespace rnncore
