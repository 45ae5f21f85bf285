// Memory of a call: checked before it is taken, aligned for vectors, on large pages where the system has them, and
// handed on to the next call of the same size instead of being returned to the system.
#pragma once

#include <cstddef>
#include <utility>

#include "core/error.hpp"

namespace rnncore {

inline constexpr std::size_t kAlignment = 64;

// a * b, or OutOfMemory where that does not fit in std::size_t: sizes come from users.
std::size_t checked_product(std::size_t a, std::size_t b);

// Throws OutOfMemory, naming both sizes, where `bytes` exceed what the machine or its limits still offer.
void require_memory(std::size_t bytes);

// What a block is for decides which one it reuses. A result outlives its call and gets memory of just its size; scratch
// is needed during a call only and takes what an earlier call has left, so that passes of different sizes share a
// block.
enum class Use { result, scratch };

// An uninitialised block; movable, freed (or kept for the next call) by its destructor.
class Block {
public:
    Block() = default;
    explicit Block(std::size_t bytes, Use use = Use::result);
    ~Block();
    Block(Block&& other) noexcept
        : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)), use_(other.use_) {}
    Block& operator=(Block&& other) noexcept {
        std::swap(data_, other.data_);
        std::swap(size_, other.size_);
        std::swap(use_, other.use_);
        return *this;
    }

    void* data() const& { return data_; }
    void* data() const&& = delete;  // of a temporary: the memory would be gone
    std::size_t size() const { return size_; }

private:
    void* data_ = nullptr;
    std::size_t size_ = 0;
    Use use_ = Use::result;
};

// Adds up the arrays of a call, takes one block for them all and deals it out:
//     Arena arena;  auto a = arena.reserve<float>(n);  ...  arena.take();  float* p = a.in(arena);
// Arrays that are never alive together share memory: take a mark, reserve some, rewind to the mark, reserve the others.
class Arena {
public:
    template <class T>
    class Slot {
    public:
        Slot() = default;
        T* in(const Arena& arena) const {
            return reinterpret_cast<T*>(static_cast<char*>(arena.block_.data()) + offset_);
        }
        T* in(const Arena&& arena) const = delete;

    private:
        friend class Arena;
        explicit Slot(std::size_t offset) : offset_(offset) {}
        std::size_t offset_ = 0;
    };

    template <class T>
    Slot<T> reserve(std::size_t count) {
        const std::size_t bytes = checked_product(count, sizeof(T));
        const Slot<T> slot(next_);
        const std::size_t padded = bytes + (kAlignment - bytes % kAlignment) % kAlignment;
        if (padded < bytes || next_ + padded < next_) throw OutOfMemory("sizes overflow the address space");
        next_ += padded;
        size_ = next_ > size_ ? next_ : size_;
        return slot;
    }

    std::size_t mark() const { return next_; }
    void rewind(std::size_t mark) { next_ = mark; }
    void take(Use use = Use::scratch) { block_ = Block(size_, use); }
    std::size_t size() const { return size_; }

private:
    std::size_t next_ = 0;
    std::size_t size_ = 0;  // the furthest that next_ has come
    Block block_;
};

}  // namespace rnncore
