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
std::atomic<int> dormant{0};  // threads that crews have been granted and do without at present

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

// What threads start with, as OpenMP starts them.
class Attributes {
public:
    Attributes() {
        pthread_attr_init(&value_);
        static const std::size_t stack = chosen_stack();
        if (stack) pthread_attr_setstacksize(&value_, stack);  // which refuses what is out of range, as in OpenMP
    }
    ~Attributes() { pthread_attr_destroy(&value_); }
    Attributes(const Attributes&) = delete;
    Attributes& operator=(const Attributes&) = delete;

    const pthread_attr_t* get() const { return &value_; }
    std::size_t stack() const {
        std::size_t bytes = 0;
        pthread_attr_getstacksize(&value_, &bytes);
        return bytes;
    }

private:
    pthread_attr_t value_;
};

// Whether there is address space for the stacks of so many threads, and for the few kilobytes that OpenMP allocates:
// malloc may ask the system for a megabyte at once.
bool has_room(int threads) {
    constexpr std::size_t kRest = std::size_t{4} << 20;
    const std::size_t bytes = kRest + static_cast<std::size_t>(threads) * Attributes().stack();
    void* const room = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return room != MAP_FAILED && munmap(room, bytes) == 0;
}

// Threads of the kind that OpenMP starts, which wait for each other to be there.
class Trial {
public:
    // Starts up to `wanted`.
    explicit Trial(int wanted) : threads_(static_cast<std::size_t>(wanted)) {
        const Attributes attributes;
        gate_.lock();
        while (started_ < threads_.size()) {
            Thread& next = threads_[started_];
            next.trial = this;
            if (pthread_create(&next.id, attributes.get(), run, &next) != 0) break;
            ++started_;
        }
        for (std::size_t n = ready_.load(); n < started_; n = ready_.load()) ready_.wait(n);
        room_ = has_room(0);
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
        pid_t number;  // the system's
        Trial* trial;
    };

    static void* run(void* argument) {
        auto* const self = static_cast<Thread*>(argument);
#if defined(__linux__)
        self->number = static_cast<pid_t>(syscall(SYS_gettid));
#endif
        // What a thread allocates first takes 64 MB of address space. Those that come later find it.
        void* volatile const first = std::malloc(1);
        std::free(first);
        self->trial->ready_.fetch_add(1);
        self->trial->ready_.notify_one();
        const std::lock_guard wait(self->trial->gate_);
        return nullptr;
    }

    std::vector<Thread> threads_;
    std::size_t started_ = 0;
    std::atomic<std::size_t> ready_{0};
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

// Without the lock, which a fork may have left held.
Crew::~Crew() { dormant -= granted_ - last_; }

int Crew::muster(int wanted, std::unique_lock<std::mutex>& lock) {
    const int present = std::min(members_->load() + 1, last_);  // of more the last region has got rid
    if (wanted == last_ && wanted <= present) return wanted;
    lock = std::unique_lock(mustering);
    dormant -= granted_ - last_;
    if (wanted > granted_) grow(wanted);
    wanted = std::min(wanted, granted_);
    if (wanted > present && !has_room(wanted - present)) wanted = present;
    if (!has_room(0)) wanted = 1;
    if (wanted > 1) last_ = wanted;
    dormant += granted_ - last_;
    if (wanted == 1) lock.unlock();  // no region begins
    return wanted;
}

// Beside those that may come back to this crew and to others.
void Crew::grow(int wanted) {
    const int others = dormant + granted_ - last_;
    granted_ += std::max(0, startable(wanted - granted_ + others) - others);
}

void Crew::join() {
    thread_local Membership membership;
    membership.enter(members_);
}

}  // namespace rnncore
