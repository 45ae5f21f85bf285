#include "core/memory.hpp"

#include <pthread.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <mutex>
#include <string>
#include <vector>

#include "core/limits.hpp"

namespace rnncore {
namespace {

constexpr std::size_t kUnlimited = std::numeric_limits<std::size_t>::max();
// Below this a block cannot endanger the machine, and asking the system would cost more than the call.
constexpr std::size_t kUncheckedBytes = std::size_t{256} << 20;
constexpr std::size_t kLargePage = std::size_t{2} << 20;
constexpr std::size_t kSmallPage = 4096;
// Large blocks end at one of these: whole small pages on every system, and no large page for a few bytes at the end.
constexpr std::size_t kLargeUnit = std::size_t{64} << 10;

std::string in_gigabytes(std::size_t bytes) {
    char text[32];
    std::snprintf(text, sizeof text, "%.2f GB", static_cast<double>(bytes) / 1e9);
    return text;
}

struct Memory {
    void* data = nullptr;
    std::size_t size = 0;
};

// Large blocks come directly from the system and go back directly, because malloc would keep freed memory. They begin
// at a large page.
void* map_pages(std::size_t size) {
    const std::size_t reserved = size + kLargePage;
    if (reserved < size) return nullptr;
    void* const start = mmap(nullptr, reserved, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (start == MAP_FAILED) return nullptr;
    const auto address = reinterpret_cast<std::uintptr_t>(start);
    const std::size_t before = (kLargePage - address % kLargePage) % kLargePage;
    char* const data = static_cast<char*>(start) + before;
    if (before > 0) munmap(start, before);
    munmap(data + size, reserved - size - before);
#if defined(__linux__)
    madvise(data, size, MADV_HUGEPAGE);
#endif
    // The system counts a page from its first use. A block that is large enough to be checked is touched at once, so
    // that the check of the call's next block counts it.
    if (size >= kUncheckedBytes) {
        for (std::size_t i = 0; i < size; i += kSmallPage) data[i] = 0;
    }
    return data;
}

void* allocate(std::size_t size) { return size >= kLargePage ? map_pages(size) : std::aligned_alloc(kSmallPage, size); }

void release(Memory memory) {
    if (memory.size >= kLargePage)
        munmap(memory.data, memory.size);
    else
        std::free(memory.data);
}

// A few freed blocks, the newest first. Reusing one spares the system's zeroing of fresh pages at every call.
class Recycler {
public:
    Recycler() { kept_.reserve(kMostBlocks + 1); }  // blocks come from destructors, which must not throw

    // A block that serves, or nothing.
    Memory take(std::size_t size, Use use) {
        const std::lock_guard lock(mutex_);
        auto found = kept_.end();
        for (auto k = kept_.begin(); k != kept_.end(); ++k) {
            if (k->use != use || (use == Use::result && k->memory.size != size)) continue;
            if (found == kept_.end() || k->memory.size > found->memory.size) found = k;
        }
        if (found == kept_.end()) return {};
        const Memory memory = found->memory;
        bytes_ -= memory.size;
        kept_.erase(found);
        if (memory.size >= size) return memory;
        release(memory);  // the larger block that comes instead will serve in its place
        return {};
    }

    void keep(Memory memory, Use use) {
        const std::lock_guard lock(mutex_);
        kept_.insert(kept_.begin(), {memory, use});
        bytes_ += memory.size;
        while (kept_.size() > kMostBlocks || bytes_ > kMostBytes) {
            bytes_ -= kept_.back().memory.size;
            release(kept_.back().memory);
            kept_.pop_back();
        }
    }

    void lock() { mutex_.lock(); }
    void unlock() { mutex_.unlock(); }

    void clear() {
        const std::lock_guard lock(mutex_);
        for (const Kept& k : kept_) release(k.memory);
        kept_.clear();
        bytes_ = 0;
    }

private:
    struct Kept {
        Memory memory;
        Use use;
    };
    // The number of blocks that training steps on a padded and on a ragged batch, in turn, give back.
    static constexpr std::size_t kMostBlocks = 16;
    static constexpr std::size_t kMostBytes = std::size_t{512} << 20;
    std::mutex mutex_;
    std::vector<Kept> kept_;
    std::size_t bytes_ = 0;
};

Recycler& recycler() {
    static Recycler* const shared = new Recycler;  // outlives every static that may still free a block
    return *shared;
}

// A fork while another thread holds the lock would leave it held for ever in the child.
struct ForkGuard {
    ForkGuard() {
        pthread_atfork([] { recycler().lock(); }, [] { recycler().unlock(); }, [] { recycler().unlock(); });
    }
} const fork_guard;

std::size_t rounded(std::size_t bytes) {
    const std::size_t unit = bytes >= kLargePage ? kLargeUnit : kSmallPage;
    if (bytes > kUnlimited - unit) throw OutOfMemory("sizes overflow the address space");
    return (bytes + unit - 1) / unit * unit;
}

}  // namespace

std::size_t checked_product(std::size_t a, std::size_t b) {
    std::size_t result = 0;
    if (__builtin_mul_overflow(a, b, &result)) throw OutOfMemory("sizes overflow the address space");
    return result;
}

void require_memory(std::size_t bytes) {
    if (bytes < kUncheckedBytes || bytes <= available_memory()) return;
    recycler().clear();
    const std::size_t available = available_memory();
    if (bytes > available)
        throw OutOfMemory("needs " + in_gigabytes(bytes) + " of memory; " + in_gigabytes(available) + " are available");
}

Block::Block(std::size_t bytes, Use use) : size_(rounded(std::max<std::size_t>(bytes, 1))), use_(use) {
    if (const Memory reused = recycler().take(size_, use_); reused.data) {
        data_ = reused.data;
        size_ = reused.size;
        return;
    }
    require_memory(size_);
    data_ = allocate(size_);
    if (!data_) {
        recycler().clear();
        data_ = allocate(size_);
    }
    if (!data_) throw OutOfMemory("needs " + in_gigabytes(size_) + " of memory, which the system refused");
}

Block::~Block() {
    if (data_) recycler().keep({data_, size_}, use_);
}

}  // namespace rnncore
