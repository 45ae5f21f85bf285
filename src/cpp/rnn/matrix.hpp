// Products of whole matrices, divided among the threads of a region: what the layers outside the time loop are made of.
#pragma once

#include "core/memory.hpp"
#include "core/threads.hpp"
#include "kernels/table.hpp"

namespace rnncore {

// Elements of a packed [k, n] matrix.
template <class T>
Index packed_size(const Kernels<T>& kernels, Index k, Index n) {
    return packed_depth(kernels, k) * ((n + kernels.lanes - 1) / kernels.lanes * kernels.lanes);
}

// Rows of contiguous elements, `stride` elements apart.
template <class T>
struct Matrix {
    T* data;
    Index rows, columns, stride;

    T* row(Index r) const { return data + r * stride; }
    Matrix slice(Index first, Index count) const { return {row(first), count, columns, stride}; }
};

// The scratch of the products that each thread of a region computes.
class ProductScratch {
public:
    ProductScratch(Arena& arena, Index bytes, int threads)
        : bytes_(bytes), all_(arena.reserve<char>(static_cast<std::size_t>(bytes * threads))) {}
    void* of(const Arena& arena, int thread) const { return all_.in(arena) + thread * bytes_; }

private:
    Index bytes_;  // of one thread
    Arena::Slot<char> all_;
};

// One of the threads of a region.
struct Worker {
    int thread;
    Team& team;
    void* scratch = nullptr;  // of its products, if it computes any

    Range share(Index n, Index unit = 1) const { return rnncore::share(n, thread, team.size(), unit); }
    // Of tasks: the calling thread, which alone looks for interrupts, has the last share; no other is larger.
    Range tasks(Index n) const { return rnncore::share(n, team.size() - 1 - thread, team.size()); }
    void poll() const { team.poll(thread); }
    bool stopped() const { return team.stopped(); }
    bool barrier() const { return team.barrier(); }
};

// Rows between two looks at the user's interrupt; a multiple of the depth to which the kernels cut a sum over rows, so
// that an outer product in blocks of it has the bits of one in a single call. (In bfloat16 that depth may be twice this
// number: there a sum over more rows must always be cut in the same blocks.)
inline constexpr Index kBlockRows = 256;

// The right-hand side b [k, n] of products, packed once for all of them.
template <class T>
class PackedMatrix {
public:
    static PackedMatrix of(Arena& arena, const Kernels<T>& kernels, const Matrix<const T>& b);
    static PackedMatrix transpose_of(Arena& arena, const Kernels<T>& kernels, const Matrix<const T>& b);

    void fill(const Arena& arena, const Worker& worker) const;  // the worker's share; a barrier must follow

    // c[:, columns] = a b[:, columns] + bias (null: none) in this thread
    void multiply(const Arena& arena, const Matrix<const T>& a, const T* bias, const Matrix<T>& c, Range columns,
                  const Worker& worker) const;
    // The same for c [*, columns], which holds these alone; the bias is still that of all.
    void multiply_part(const Arena& arena, const Matrix<const T>& a, const T* bias, const Matrix<T>& c, Range columns,
                       const Worker& worker) const;

    // c += a b of the rows of one step; from_end: how b is read, see Product
    void add(const Arena& arena, const Matrix<const T>& a, const Matrix<T>& c, bool from_end, void* scratch) const;

    Index rows() const { return packing_.k; }
    Index columns() const { return packing_.n; }
    const T* in(const Arena& arena) const { return packed_.in(arena); }

private:
    PackedMatrix(Arena& arena, const Kernels<T>& kernels, const Packing<T>& packing);

    const Kernels<T>* kernels_;
    Packing<T> packing_;  // without the place of the packed matrix
    Arena::Slot<T> packed_;
};

// c [M, N] += a^T b, summed over the rows of a [K, M] and b [K, N]. The threads divide c and never a sum: the bits do
// not depend on their number.
template <class T>
class OuterSum {
public:
    OuterSum(Arena& arena, const Kernels<T>& kernels, int threads);
    void add(const Arena& arena, const Matrix<const T>& a, const Matrix<const T>& b, T* c, const Worker& worker) const;

private:
    const Kernels<T>* kernels_;
    Arena::Slot<T> scratch_;
    Arena::Slot<const T*> rows_;
};

// sums [N] += the rows of a [K, N]; the threads divide the columns.
template <class T>
void add_column_sums(const Kernels<T>& kernels, const Matrix<const T>& a, T* sums, const Worker& worker);

}  // namespace rnncore
