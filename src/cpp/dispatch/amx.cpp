#include "dispatch/amx.hpp"

#if defined(__linux__) && defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>

namespace rnncore {

namespace {

bool request_permission() {
    constexpr unsigned kBfloat16 = 1u << 22, kTile = 1u << 24;   // of leaf 7
    constexpr long kRequestPermission = 0x1023, kTileData = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
    unsigned a, b, c, features = 0;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &features)) return false;
    if ((features & kBfloat16) == 0 || (features & kTile) == 0) return false;
    return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

}  // namespace

// Threads that ask at the same time get the same answer. None waits for another's, as it would for a static variable:
// a fork could have left that one behind.
bool amx_is_permitted() {
    enum Answer { unknown, no, yes };
    static constinit std::atomic<Answer> known{unknown};
    if (known.load() == unknown) known.store(request_permission() ? yes : no);
    return known.load() == yes;
}

}  // namespace rnncore

#else

namespace rnncore {
bool amx_is_permitted() { return false; }
}  // namespace rnncore

#endif
