// The time slice that the system gives a thread where others want its processor too.
#pragma once

#include <cstdint>

namespace rnncore {

// Asks for short slices while it lives, and gives the thread back what it had. The thread gets no larger share of the
// processor, but gets it sooner: threads that wait for each other come to a halt where each waits out a whole slice of
// somebody else's first. Only Linux 6.12 and newer heed it; elsewhere nothing happens.
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
