// Subnormal numbers cost a hundred cycles each and appear in every training: they are flushed to zero inside a call,
// and the caller's mode is restored after it.
#pragma once

#include <cstdint>

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

namespace rnncore {

class FlushSubnormals {
public:
    FlushSubnormals() : saved_(mode()) { set_mode(saved_ | kFlush); }
    ~FlushSubnormals() { set_mode(saved_); }
    FlushSubnormals(const FlushSubnormals&) = delete;
    FlushSubnormals& operator=(const FlushSubnormals&) = delete;

private:
#if defined(__x86_64__)
    static constexpr std::uint64_t kFlush = 0x8040;  // flush-to-zero and denormals-are-zero in MXCSR
    static std::uint64_t mode() { return _mm_getcsr(); }
    static void set_mode(std::uint64_t m) { _mm_setcsr(static_cast<unsigned>(m)); }
#elif defined(__aarch64__)
    static constexpr std::uint64_t kFlush = 1u << 24;  // FZ in FPCR
    static std::uint64_t mode() {
        std::uint64_t m = 0;
        asm volatile("mrs %0, fpcr" : "=r"(m));
        return m;
    }
    static void set_mode(std::uint64_t m) { asm volatile("msr fpcr, %0" ::"r"(m)); }
#else
    static constexpr std::uint64_t kFlush = 0;
    static std::uint64_t mode() { return 0; }
    static void set_mode(std::uint64_t) {}
#endif
    std::uint64_t saved_;
};

}  // namespace rnncore
