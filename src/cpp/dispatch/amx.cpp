#include "dispatch/amx.hpp"

#if defined(__linux__) && defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace rnncore {

bool amx_is_permitted() {
    static const bool permitted = [] {
        constexpr unsigned kBfloat16 = 1u << 22, kTile = 1u << 24;   // of leaf 7
        constexpr long kRequestPermission = 0x1023, kTileData = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
        unsigned a, b, c, features = 0;
        if (!__get_cpuid_count(7, 0, &a, &b, &c, &features)) return false;
        if ((features & kBfloat16) == 0 || (features & kTile) == 0) return false;
        return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
    }();
    return permitted;
}

}  // namespace rnncore

#else

namespace rnncore {
bool amx_is_permitted() { return false; }
}  // namespace rnncore

#endif
