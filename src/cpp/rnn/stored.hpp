// A weight matrix packed for products with few rows, in one of the storages.
#pragma once

#include <string>

#include "core/memory.hpp"
#include "kernels/table.hpp"
#include "rnn/matrix.hpp"

namespace rnncore {

// "full", "bfloat16", "int8" or "int8_dynamic"; Invalid for another name.
Storage storage_named(const std::string& name);

// Invalid where `storage` is not for matrices of T with rows of `k` elements.
template <class T>
void check(Storage storage, Index k);

// to [rows, columns] = the numbers that a weight matrix stands for in a storage.
template <class T>
void round_as_stored(const StorageKernels<T>& kernels, const Matrix<const T>& weight, T* to);

template <class T>
class StoredMatrix {
public:
    StoredMatrix() = default;
    // W [n, k]: reserves its memory
    StoredMatrix(Arena& arena, const StorageKernels<T>& kernels, Index k, Index n)
        : k(k), n(n), slot_(arena.reserve<char>(static_cast<std::size_t>(kernels.packed_bytes(k, n)))) {}

    void fill(const Arena& arena, const StorageKernels<T>& kernels, const T* weight, Index stride) const {
        kernels.pack({weight, stride, k, n, slot_.in(arena)});
    }

    const void* in(const Arena& arena) const { return slot_.in(arena); }

    Index k = 0, n = 0;

private:
    Arena::Slot<char> slot_;
};

}  // namespace rnncore
