// Vectors of one instruction set, from the compiler's own vector types: this file holds widths, loads and stores.
// Everything under kernels/ lives in a namespace of its instruction set and uses nothing of std, so that no code
// compiled for a newer processor can be linked into the rest of the program.
#pragma once

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#ifndef RNNCORE_ISA
#error "RNNCORE_ISA names the instruction set this file is compiled for"
#endif

// For a lambda that changes vectors outside of it. clang might call the lambda, and the vectors would go through
// memory. g++ inlines it without this attribute, later in its passes, which saves instructions.
#if defined(__clang__)
#define RNNCORE_INLINED __attribute__((always_inline))
#else
#define RNNCORE_INLINED
#endif

namespace rnncore::RNNCORE_ISA {

using Index = __PTRDIFF_TYPE__;

#if defined(__AVX512F__)
inline constexpr int kVectorBytes = 64;
inline constexpr int kRegisters = 32;
#elif defined(__AVX2__)
inline constexpr int kVectorBytes = 32;
inline constexpr int kRegisters = 16;
#elif defined(__aarch64__)
inline constexpr int kVectorBytes = 16;
inline constexpr int kRegisters = 32;
#else
inline constexpr int kVectorBytes = 16;
inline constexpr int kRegisters = 16;
#endif

template <class T>
struct Lanes;

template <>
struct Lanes<float> {
    using Bits = int;
    static constexpr int count = kVectorBytes / 4;
    typedef float Vector __attribute__((vector_size(kVectorBytes)));
    typedef int BitVector __attribute__((vector_size(kVectorBytes)));
};

template <>
struct Lanes<double> {
    using Bits = long long;
    static constexpr int count = kVectorBytes / 8;
    typedef double Vector __attribute__((vector_size(kVectorBytes)));
    typedef long long BitVector __attribute__((vector_size(kVectorBytes)));
};

template <>
struct Lanes<int> {
    static constexpr int count = kVectorBytes / 4;
    typedef int Vector __attribute__((vector_size(kVectorBytes)));
};

template <class T>
using Vec = typename Lanes<T>::Vector;
template <class T>
using BitVec = typename Lanes<T>::BitVector;
template <class T>
inline constexpr int kLanes = Lanes<T>::count;

inline constexpr int kLineBytes = 64;  // of the cache

// Whether the processor prefetches from an outer cache in time. Prefetch instructions then cost more than they gain: a
// fifth of the speed with one row. The cost was measured on a Zen 4, the gain on a Zen 5.
[[gnu::always_inline]] inline bool fetches_by_itself() {
#if defined(__x86_64__)
    return __builtin_cpu_is("amdfam19h");  // Zen 3 and 4
#else
    return false;
#endif
}

// What the sums of the widest tile start from.
template <class T>
inline constexpr T kZeros[8 * kLanes<T>] = {};

template <class T>
[[gnu::always_inline]] inline Vec<T> splat(T value) {
    return value - Vec<T>{};  // exact for every value, also -0, so that it compiles to a broadcast
}

template <class T>
[[gnu::always_inline]] inline Vec<T> load(const T* p) {
    Vec<T> v;
    __builtin_memcpy(&v, p, sizeof v);
    return v;
}

template <class T>
[[gnu::always_inline]] inline void store(T* p, Vec<T> v) {
    __builtin_memcpy(p, &v, sizeof v);
}

// max(x, low), min(x, high); NaN stays NaN. Comparing and choosing would take three times as long.
template <class T>
[[gnu::always_inline]] inline Vec<T> at_least(Vec<T> x, T low) {
    const Vec<T> bound = splat(low);
    // x86 gives the second operand where one is NaN; g++ 12 warns of the forms without a mask
#if defined(__AVX512F__)
    if constexpr (sizeof(T) == 4)
        return _mm512_mask_max_ps(x, 0xFFFF, bound, x);
    else
        return _mm512_mask_max_pd(x, 0xFF, bound, x);
#elif defined(__AVX2__)
    if constexpr (sizeof(T) == 4)
        return _mm256_max_ps(bound, x);
    else
        return _mm256_max_pd(bound, x);
#elif defined(__x86_64__)
    if constexpr (sizeof(T) == 4)
        return _mm_max_ps(bound, x);
    else
        return _mm_max_pd(bound, x);
#else
    return x < low ? bound : x;
#endif
}

template <class T>
[[gnu::always_inline]] inline Vec<T> at_most(Vec<T> x, T high) {
    const Vec<T> bound = splat(high);
#if defined(__AVX512F__)
    if constexpr (sizeof(T) == 4)
        return _mm512_mask_min_ps(x, 0xFFFF, bound, x);
    else
        return _mm512_mask_min_pd(x, 0xFF, bound, x);
#elif defined(__AVX2__)
    if constexpr (sizeof(T) == 4)
        return _mm256_min_ps(bound, x);
    else
        return _mm256_min_pd(bound, x);
#elif defined(__x86_64__)
    if constexpr (sizeof(T) == 4)
        return _mm_min_ps(bound, x);
    else
        return _mm_min_pd(bound, x);
#else
    return x > high ? bound : x;
#endif
}

#if defined(__AVX2__) && !defined(__AVX512F__)
template <class T>
[[gnu::always_inline]] inline __m256i lanes_below(int n) {
    BitVec<T> lane;
    for (int i = 0; i < kLanes<T>; ++i) lane[i] = i;
    return reinterpret_cast<__m256i>(lane < static_cast<typename Lanes<T>::Bits>(n));
}
#endif

// The first n lanes, the others zero; the memory behind them is not touched.
template <class T>
[[gnu::always_inline]] inline Vec<T> load_part(const T* p, int n) {
#if defined(__AVX512F__)
    if constexpr (sizeof(T) == 4)
        return _mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << n) - 1), p);
    else
        return _mm512_maskz_loadu_pd(static_cast<__mmask8>((1u << n) - 1), p);
#elif defined(__AVX2__)
    if constexpr (sizeof(T) == 4)
        return _mm256_maskload_ps(p, lanes_below<T>(n));
    else
        return _mm256_maskload_pd(p, lanes_below<T>(n));
#else
    Vec<T> v{};
    for (int i = 0; i < n; ++i) v[i] = p[i];
    return v;
#endif
}

template <class T>
[[gnu::always_inline]] inline void store_part(T* p, Vec<T> v, int n) {
#if defined(__AVX512F__)
    if constexpr (sizeof(T) == 4)
        _mm512_mask_storeu_ps(p, static_cast<__mmask16>((1u << n) - 1), v);
    else
        _mm512_mask_storeu_pd(p, static_cast<__mmask8>((1u << n) - 1), v);
#elif defined(__AVX2__)
    if constexpr (sizeof(T) == 4)
        _mm256_maskstore_ps(p, lanes_below<T>(n), v);
    else
        _mm256_maskstore_pd(p, lanes_below<T>(n), v);
#else
    for (int i = 0; i < n; ++i) p[i] = v[i];
#endif
}

// a0 b0 a1 b1 ...: the first or the second half of it
template <bool second, class Vector>
[[gnu::always_inline]] inline Vector interleave(Vector a, Vector b) {
    constexpr int n = sizeof(Vector) / sizeof(a[0]), h = second ? n / 2 : 0, k = h + n;
    if constexpr (n == 2)
        return __builtin_shufflevector(a, b, h, k);
    else if constexpr (n == 4)
        return __builtin_shufflevector(a, b, h, k, h + 1, k + 1);
    else if constexpr (n == 8)
        return __builtin_shufflevector(a, b, h, k, h + 1, k + 1, h + 2, k + 2, h + 3, k + 3);
    else
        return __builtin_shufflevector(a, b, h, k, h + 1, k + 1, h + 2, k + 2, h + 3, k + 3, h + 4, k + 4, h + 5, k + 5,
                                       h + 6, k + 6, h + 7, k + 7);
}

// How many lanes one pass of for_lanes holds: all of them, or the rest of a row.
struct AllLanes {
    template <class T>
    [[gnu::always_inline]] Vec<T> load(const T* p) const {
        return RNNCORE_ISA::load(p);
    }
    template <class T>
    [[gnu::always_inline]] void store(T* p, Vec<T> v) const {
        RNNCORE_ISA::store(p, v);
    }
};

struct SomeLanes {
    int n;
    template <class T>
    [[gnu::always_inline]] Vec<T> load(const T* p) const {
        return load_part(p, n);
    }
    template <class T>
    [[gnu::always_inline]] void store(T* p, Vec<T> v) const {
        store_part(p, v, n);
    }
};

// Calls body(offset, lanes) over [0, n); an element's result does not depend on where it stands.
template <class T, class Body>
[[gnu::always_inline]] inline void for_lanes(Index n, const Body& body) {
    Index i = 0;
    for (; i + kLanes<T> <= n; i += kLanes<T>) body(i, AllLanes{});
    if (i < n) body(i, SomeLanes{static_cast<int>(n - i)});
}

}  // namespace rnncore::RNNCORE_ISA
