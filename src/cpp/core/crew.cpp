#include "core/crew.hpp"

#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <utility>
#include <vector>

namespace rnncore {
namespace {

std::mutex mustering;

// Of threads that OpenMP starts, where the user has set it; else 0.
std::size_t chosen_stack() {
    for (const char* const name : {"OMP_STACKSIZE", "GOMP_STACKSIZE", "KMP_STACKSIZE"}) {
        const char* const text = std::getenv(name);
        if (!text) continue;
        char* unit = nullptr;
        const std::size_t number = std::strtoull(text, &unit, 10);
        while (std::isspace(static_cast<unsigned char>(*unit))) ++unit;
        switch (std::tolower(static_cast<unsigned char>(*unit))) {
            case 'b':
                return number;
            case 'm':
                return number << 20;
            case 'g':
                return number << 30;
            default:  // as OpenMP reads it
                return number << 10;
        }
    }
    return 0;
}

// Whether OpenMP will find the memory for its own few kilobytes: malloc may ask the system for a megabyte at once.
bool has_room() {
    constexpr std::size_t kRoom = std::size_t{4} << 20;
    void* const room = mmap(nullptr, kRoom, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return room != MAP_FAILED && munmap(room, kRoom) == 0;
}

// Threads of the kind that OpenMP starts, which wait for each other to be there.
class Trial {
public:
    // Starts up to `wanted`.
    explicit Trial(int wanted) : threads_(static_cast<std::size_t>(wanted)) {
        pthread_attr_t attributes;
        if (pthread_attr_init(&attributes) != 0) return;
        static const std::size_t stack = chosen_stack();
        if (stack) pthread_attr_setstacksize(&attributes, stack);  // which refuses what is out of range, as in OpenMP
        gate_.lock();
        while (started_ < threads_.size()) {
            Thread& next = threads_[started_];
            next.gate = &gate_;
            if (pthread_create(&next.id, &attributes, run, &next) != 0) break;
            ++started_;
        }
        pthread_attr_destroy(&attributes);
        room_ = has_room();
        gate_.unlock();
    }

    // When all have ended and the system has taken note of it, which may be after they can be joined: the next that are
    // started take their places.
    ~Trial() {
        for (std::size_t i = 0; i < started_; ++i) {
            pthread_join(threads_[i].id, nullptr);
#if defined(__linux__)
            constexpr int kLooks = 1000;  // the number may be another thread's by now
            for (int k = 0; k < kLooks && syscall(SYS_tgkill, getpid(), threads_[i].number, 0) == 0; ++k) sched_yield();
#endif
        }
    }
    Trial(const Trial&) = delete;
    Trial& operator=(const Trial&) = delete;

    int succeeded() const { return room_ ? static_cast<int>(started_) : 0; }

private:
    struct Thread {
        pthread_t id;
        long number;  // the system's
        std::mutex* gate;
    };

    static void* run(void* argument) {
        auto* const self = static_cast<Thread*>(argument);
#if defined(__linux__)
        self->number = syscall(SYS_gettid);
#endif
        // What a thread allocates first takes 64 MB of address space. Those that come later find it.
        void* volatile const first = std::malloc(1);
        std::free(first);
        const std::lock_guard wait(*self->gate);
        return nullptr;
    }

    std::vector<Thread> threads_;
    std::size_t started_ = 0;
    std::mutex gate_;
    bool room_ = false;
};

int startable(int wanted) {
    int can = 0;
    for (; wanted > 0 && can == 0; wanted /= 2) can = Trial(wanted).succeeded();
    return can;
}

}  // namespace

// Of a thread that OpenMP has started: the crew it serves. OpenMP may let it end, or lend it to another crew.
struct Crew::Membership {
    std::shared_ptr<std::atomic<int>> members;

    ~Membership() { leave(); }
    void leave() const {
        if (members) members->fetch_sub(1);
    }
    void enter(const std::shared_ptr<std::atomic<int>>& others) {
        if (members == others) return;
        leave();
        members = others;
        members->fetch_add(1);
    }
};

Crew& Crew::of_this_thread() {
    thread_local Crew crew;
    return crew;
}

int Crew::muster(int wanted, std::unique_lock<std::mutex>& lock) {
    const int present = std::min(members_->load() + 1, last_);  // of more the last region has got rid
    if (wanted == last_ && wanted <= present) return wanted;
    lock = std::unique_lock(mustering);
    int granted = std::min(wanted, present);
    if (wanted > granted)
        granted += startable(wanted - granted);
    else if (!has_room())
        granted = 1;
    if (granted == 1)
        lock.unlock();  // no region begins
    else
        last_ = granted;
    return granted;
}

void Crew::join() {
    thread_local Membership membership;
    membership.enter(members_);
}

}  // namespace rnncore
