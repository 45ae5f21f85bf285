// Random numbers from counters: Philox4x32-10 (Salmon, Moraes, Dror, Shaw 2011, "Parallel random numbers: as easy as
// 1, 2, 3"). Four 32-bit numbers are a function of a key and a counter, so that any thread can compute any of them
// without those before it.
#pragma once

#include <array>
#include <cstdint>

namespace rnncore {

// The upper half of the counter keeps the uses of one seed apart.
enum class RandomUse : std::uint32_t { dropout = 0, sampling = 1 };

inline std::array<std::uint32_t, 4> philox(std::uint64_t seed, std::uint64_t counter, RandomUse use) {
    constexpr std::uint64_t kMultiplier0 = 0xD2511F53, kMultiplier1 = 0xCD9E8D57;
    constexpr std::uint32_t kWeyl0 = 0x9E3779B9, kWeyl1 = 0xBB67AE85;
    constexpr int kRounds = 10;
    auto key0 = static_cast<std::uint32_t>(seed), key1 = static_cast<std::uint32_t>(seed >> 32);
    std::array<std::uint32_t, 4> c = {static_cast<std::uint32_t>(counter), static_cast<std::uint32_t>(counter >> 32),
                                      static_cast<std::uint32_t>(use), 0};
    for (int round = 0; round < kRounds; ++round, key0 += kWeyl0, key1 += kWeyl1) {
        const std::uint64_t p0 = kMultiplier0 * c[0], p1 = kMultiplier1 * c[2];
        c = {static_cast<std::uint32_t>(p1 >> 32) ^ c[1] ^ key0, static_cast<std::uint32_t>(p1),
             static_cast<std::uint32_t>(p0 >> 32) ^ c[3] ^ key1, static_cast<std::uint32_t>(p0)};
    }
    return c;
}

// Number `position` of the stream of 32-bit numbers of one seed.
inline std::uint32_t philox_number(std::uint64_t seed, std::uint64_t position, RandomUse use) {
    return philox(seed, position / 4, use)[position % 4];
}

// Uniform in [0, 1), with the 53 bits that a double holds.
inline double philox_uniform(std::uint64_t seed, std::uint64_t counter, RandomUse use) {
    const auto words = philox(seed, counter, use);
    const std::uint64_t bits = (static_cast<std::uint64_t>(words[0]) << 32 | words[1]) >> 11;
    return static_cast<double>(bits) * 0x1p-53;
}

}  // namespace rnncore
