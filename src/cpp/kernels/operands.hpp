// The formats in which a product reads its operands. A format F says
//     Value             what the matrices hold, and what sums are kept in
//     Element           what a packed operand holds
//     steps             of the summed dimension k in one element
//     step(i, j)        which step of k is the j-th of element i
//     unit              elements to a multiple of which zeros pad a packed column
//     parts             how many numbers make a value; those of a unit that are of a kind stand together
//     Loaded            elements before they are split into parts
//     along(p, lanes)   the next elements of a column, from the values p[0], p[1], ... of consecutive k
//     across(x, y, l)   one element of each of some columns, from the rows x[...] and, where steps is 2, y[...]
//     split(loaded)     their parts
// and multiply_add how an element of a meets elements of b.
#pragma once

#include "kernels/bfloat16.hpp"

namespace rnncore::RNNCORE_ISA {

// Elements of each part.
template <class E, int parts>
struct Parts {
    Vec<E> of[parts];
};

// The values as they are.
template <class T>
struct Whole {
    using Value = T;
    using Element = T;
    using Loaded = Parts<T, 1>;
    static constexpr int steps = 1, parts = 1;
    static constexpr Index unit = 1;

    static constexpr Index step(Index i, int) { return i; }
    template <class L>
    [[gnu::always_inline]] static Loaded along(const T* p, L lanes) {
        return {{lanes.load(p)}};
    }
    template <class L>
    [[gnu::always_inline]] static Loaded across(const T* x, const T*, L lanes) {
        return {{lanes.load(x)}};
    }
    [[gnu::always_inline]] static Loaded split(const Loaded& values) { return values; }
};

// Rounded to bfloat16 but stored as floats: for sets without instructions for it.
struct Rounded {
    using Value = float;
    using Element = float;
    using Loaded = Parts<float, 1>;
    static constexpr int steps = 1, parts = 1;
    static constexpr Index unit = 1;

    static constexpr Index step(Index i, int) { return i; }
    template <class L>
    [[gnu::always_inline]] static Loaded along(const float* p, L lanes) {
        return {{round_to_bfloat16(lanes.load(p))}};
    }
    template <class L>
    [[gnu::always_inline]] static Loaded across(const float* x, const float*, L lanes) {
        return {{round_to_bfloat16(lanes.load(x))}};
    }
    [[gnu::always_inline]] static Loaded split(const Loaded& values) { return values; }
};

template <class T>
[[gnu::always_inline]] inline Vec<T> multiply_add(T a, Vec<T> b, Vec<T> sum) {
    return sum + splat(a) * b;
}

#if defined(__AVX512BF16__)
struct TwoVectors {
    Vec<float> first, second;
};

// Two vectors of values that follow each other, or as many of them as there are.
[[gnu::always_inline]] inline TwoVectors load_two(const float* p, AllLanes) {
    return {load(p), load(p + kLanes<float>)};
}
[[gnu::always_inline]] inline TwoVectors load_two(const float* p, SomeLanes values) {
    const int second = values.n - kLanes<float>;
    if (second <= 0) return {values.load(p), Vec<float>{}};
    return {load(p), load_part(p + kLanes<float>, second)};
}

struct Pairs {
    using Value = float;
    using Element = Bfloat16Pair;
    using Loaded = Parts<Element, 1>;
    static constexpr int steps = 2, parts = 1;
    static constexpr Index unit = 1;

    static constexpr Index step(Index i, int j) { return 2 * i + j; }
    template <class L>
    [[gnu::always_inline]] static Loaded along(const float* p, L values) {
        const TwoVectors v = load_two(p, values);
        return {{to_bfloat16_pairs(v.first, v.second)}};
    }
    template <class L>
    [[gnu::always_inline]] static Loaded across(const float* x, const float* y, L lanes) {
        return {{to_bfloat16_pairs_of_both(lanes.load(x), y ? lanes.load(y) : Vec<float>{})}};
    }
    [[gnu::always_inline]] static Loaded split(const Loaded& pairs) { return pairs; }
};

// sum + a.first * b.first + a.second * b.second
[[gnu::always_inline]] inline Vec<float> multiply_add(Bfloat16Pair a, Vec<Bfloat16Pair> b, Vec<float> sum) {
    return reinterpret_cast<Vec<float>>(_mm512_dpbf16_ps(
        reinterpret_cast<__m512>(sum), reinterpret_cast<__m512bh>(splat(a)), reinterpret_cast<__m512bh>(b)));
}

#if defined(RNNCORE_AMX)  // for its set alone: others know nothing of the permission that the registers need
// The rows of a matrix register, and the elements of each.
inline constexpr int kSquare = 16;

struct SquarePairs : Pairs {
    static constexpr Index unit = kSquare;
};

// Whole values, each as the sum of three bfloat16 numbers. An element holds a step of a unit's first half and one of
// its second.
struct SplitPairs {
    using Value = float;
    using Element = Bfloat16Pair;
    using Loaded = TwoVectors;
    static constexpr int steps = 2, parts = 3;
    static constexpr Index unit = kSquare;

    static constexpr Index step(Index i, int j) { return i / unit * unit * steps + j * unit + i % unit; }
    template <class L>
    [[gnu::always_inline]] static Loaded along(const float* p, L values) {
        return load_two(p, values);
    }
    template <class L>
    [[gnu::always_inline]] static Loaded across(const float* x, const float* y, L lanes) {
        return {lanes.load(x), y ? lanes.load(y) : Vec<float>{}};
    }
    [[gnu::always_inline]] static Parts<Element, 3> split(const Loaded& values) {
        Parts<Element, 3> result;
        split_into_bfloat16_pairs(values.first, values.second, result.of);
        return result;
    }
};

using Bfloat16 = SquarePairs;
#else
using Bfloat16 = Pairs;
#endif
#else
using Bfloat16 = Rounded;
#endif

template <class E>
struct SumOf {
    using Type = E;
};
template <>
struct SumOf<Bfloat16Pair> {
    using Type = float;
};
// What products of elements E are summed in.
template <class E>
using Sum = typename SumOf<E>::Type;

// Of one part of a packed column.
template <class F>
[[gnu::always_inline]] inline Index elements(Index k) {
    constexpr Index kUnit = F::unit * F::steps;
    return (k + kUnit - 1) / kUnit * F::unit;
}

// The parts of some elements, `apart` elements from one to the next.
template <class E, int parts>
[[gnu::always_inline]] inline void store(E* p, const Parts<E, parts>& values, Index apart) {
#pragma GCC unroll 3
    for (int i = 0; i < parts; ++i) store(p + i * apart, values.of[i]);
}

// Calls body(k, lanes) for as many steps of k as fill a vector of elements, and for the rest; SomeLanes counts values.
template <class F, class Body>
[[gnu::always_inline]] inline void for_steps(Index k, const Body& body) {
    constexpr Index kWhole = kLanes<typename F::Element> * F::steps;
    Index i = 0;
    for (; i + kWhole <= k; i += kWhole) body(i, AllLanes{});
    if (i < k) body(i, SomeLanes{static_cast<int>(k - i)});
}

}  // namespace rnncore::RNNCORE_ISA
