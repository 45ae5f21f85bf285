#include "rnn/stored.hpp"

#include <algorithm>
#include <type_traits>

namespace rnncore {

Storage storage_named(const std::string& name) {
    if (name == "full") return Storage::full;
    if (name == "bfloat16") return Storage::bfloat16;
    if (name == "int8") return Storage::int8;
    if (name == "int8_dynamic") return Storage::int8_dynamic;
    throw Invalid("weight_format: expected 'full', 'bfloat16', 'int8' or 'int8_dynamic', got '" + name + "'");
}

template <class T>
void check(Storage storage, Index k) {
    if (storage == Storage::full) return;
    if (!std::is_same_v<T, float>)
        throw Invalid("weight_format: expected 'float64', the type of the parameters, got a narrower one");
    constexpr Index kMost = 1 << 16;  // 2^16 * 127 * 255 < 2^31: sums of products of eight bits fit
    if (storage == Storage::int8_dynamic && k > kMost)
        throw Invalid("weight_format: expected 'float32', 'bfloat16' or 'int8' where a row has more than " +
                      std::to_string(kMost) + " weights, got 'int8_dynamic' for " + std::to_string(k));
}

// Each number is looked up in the packed rows, so that no second rounding can differ from that of the products.
template <class T>
void round_as_stored(const StorageKernels<T>& kernels, const Matrix<const T>& weight, T* to) {
    constexpr Index kRows = 64;  // at a time: a cache holds what is packed of them
    const Index k = weight.columns, n = std::min(kRows, weight.rows);
    const auto size = static_cast<std::size_t>(n);
    Arena arena;
    const StoredMatrix<T> packed(arena, kernels, k, n);
    const auto zeros = arena.reserve<T>(size), column = arena.reserve<T>(size);
    arena.take();
    std::fill_n(zeros.in(arena), n, T(0));
    T* const numbers = column.in(arena);
    for (Index next = 0; next < weight.rows; next += n) {
        const Index first = std::min(next, weight.rows - n);  // some of the last rows may come twice
        packed.fill(arena, kernels, weight.row(first), weight.stride);
        for (Index i = 0; i < k; ++i) {
            kernels.look_up({nullptr, 0, numbers, n, 1, packed.in(arena), k, n, zeros.in(arena), Init::bias, nullptr},
                            i);
            for (Index r = 0; r < n; ++r) to[(first + r) * k + i] = numbers[r];
        }
    }
}

template void check<float>(Storage, Index);
template void check<double>(Storage, Index);
template void round_as_stored(const StorageKernels<float>&, const Matrix<const float>&, float*);
template void round_as_stored(const StorageKernels<double>&, const Matrix<const double>&, double*);

}  // namespace rnncore
