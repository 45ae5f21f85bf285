#include "core/threads.hpp"

#include <pthread.h>
#if defined(__linux__)
#include <sched.h>
#endif
#if defined(_OPENMP)
#include <omp.h>
#endif

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <mutex>
#include <string>
#include <thread>

#include "core/crew.hpp"
#include "core/limits.hpp"
#include "core/time_slice.hpp"

namespace rnncore {

std::atomic<bool (*)()> interrupt_requested{nullptr};

namespace {

int allowed_processors() {
#if defined(_OPENMP)
    if (omp_get_proc_bind() != omp_proc_bind_false) {
        // OpenMP has bound this thread to a place, whose processors are all that the system still tells of.
        int in_places = 0;
        for (int place = 0; place < omp_get_num_places(); ++place) in_places += omp_get_place_num_procs(place);
        return std::max(1, std::min(in_places, omp_get_num_procs()));
    }
#endif
#if defined(__linux__)
    cpu_set_t set;
    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof set, &set) == 0) return std::max(1, CPU_COUNT(&set));
#endif
    return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

int openmp_count() {
#if defined(_OPENMP)
    return omp_get_max_threads();
#else
    return 1;
#endif
}

int most_threads() {
    const int most = std::min(openmp_count(), allowed_processors());
    return std::max(1, static_cast<int>(std::ceil(std::min<double>(most, processor_quota()))));
}

int initial_threads() {
    const int most = most_threads();
    const char* const asked = std::getenv("RNNCORE_NUM_THREADS");
    if (!asked || !*asked) return most;
    char* end = nullptr;
    const long n = std::strtol(asked, &end, 10);
    if (*end || n < 1)
        throw Invalid(std::string("RNNCORE_NUM_THREADS: expected a number of threads of at least 1, got '") + asked +
                      "'");
    return static_cast<int>(std::min<long>(n, most));
}

std::atomic<int> forced_threads{0};  // 0: not yet asked for

#if defined(_OPENMP)
// A runtime may read its settings at its first call. That call is made here, while the settings are in place
// (python/rnncore/_openmp.py).
[[maybe_unused]] const int asked_at_once = omp_get_max_threads();
#endif

// libgomp's pool does not survive fork: a parallel region in the child would wait for threads that are not there.
std::atomic<bool> forked{false};

struct ForkGuard {
    ForkGuard() {
        pthread_atfork(nullptr, nullptr, [] { forked.store(true); });
    }
} const fork_guard;

// Tells the processor that this thread is waiting.
void relax() {
#if defined(__x86_64__)
    _mm_pause();
#elif defined(__aarch64__)
    asm volatile("isb" ::: "memory");  // some ten nanoseconds; "yield" does nothing on most processors
#endif
}

double seconds() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

}  // namespace

bool has_openmp() {
#if defined(_OPENMP)
    return true;
#else
    return false;
#endif
}

int get_num_threads() {
    if (forked.load() || !has_openmp()) return 1;
    const int n = forced_threads.load();
    if (n) return n;
    static const int initial = initial_threads();
    return initial;
}

void set_num_threads(int n) {
    if (n < 1) throw Invalid("n: expected a number of threads of at least 1, got " + std::to_string(n));
    forced_threads.store(n);
}

int threads_for(double flops) {
    constexpr double kFlopsPerThread = 1e7;  // about 50 microseconds
    const int wanted = get_num_threads();
    // In a forked child too: whoever was about to set what is static below is not there to finish it.
    if (wanted == 1) return 1;
    static const int sensible = std::max(64, allowed_processors());
    const int most = std::min(wanted, sensible);
    return flops >= kFlopsPerThread * most ? most : std::max(1, static_cast<int>(flops / kFlopsPerThread));
}

bool Team::barrier() {
    const int generation = generation_.load(std::memory_order_acquire);
    // the next barrier waits for this thread, so that the answer cannot change before it has been read
    const auto go_on = [this] { return !stopped_at_barrier_.load(std::memory_order_relaxed); };
    if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == size()) {
        arrived_.store(0, std::memory_order_relaxed);
        stopped_at_barrier_.store(stopped(), std::memory_order_relaxed);
        generation_.store(generation + 1, std::memory_order_release);
        generation_.notify_all();
        return go_on();
    }
    // The length of a pause differs tenfold between processors, so the wait is limited by time.
    constexpr double kSecondsAwake = 1e-4;  // about the shortest time slice
    constexpr int kLooks = 64;              // between two at the clock
    const double start = seconds();
    do {
        for (int i = 0; i < kLooks; ++i) {
            if (generation_.load(std::memory_order_acquire) != generation) return go_on();
            relax();
        }
    } while (seconds() - start < kSecondsAwake);
    while (generation_.load(std::memory_order_acquire) == generation) generation_.wait(generation);
    placement_.go_home();
    return go_on();
}

void Team::poll(int thread) {
    if (thread != 0) return;
    constexpr double kSecondsBetweenLooks = 0.1;
    const double now = seconds();
    if (last_look_ == 0) last_look_ = now;
    if (now - last_look_ < kSecondsBetweenLooks) return;
    last_look_ = now;
    if (const auto requested = interrupt_requested.load(); requested && requested()) stop();
}

void run_parallel(int threads, const std::function<void(int, Team&)>& work) {
    Team team;
#if defined(_OPENMP)
    std::unique_lock<std::mutex> mustering;
    Crew* const crew = threads > 1 ? &Crew::of_this_thread() : nullptr;
    if (crew) threads = crew->muster(std::min(threads, omp_get_thread_limit()), mustering);
#endif
    if (threads <= 1) {
        const FlushSubnormals flush;
        work(0, team);
    } else {
#if defined(_OPENMP)
        const ShortTimeSlice slice;
#pragma omp parallel num_threads(threads)
        {
            team.size_.store(omp_get_num_threads(), std::memory_order_relaxed);  // the same from every thread
            team.placement_.enter();
            const FlushSubnormals flush;
            if (omp_get_thread_num() == 0) {
                if (mustering) mustering.unlock();
            } else {
                crew->join();
                // for good: a thread that sleeps between two regions has to be woken by the next as soon as can be
                thread_local const ShortTimeSlice slice;
            }
            work(omp_get_thread_num(), team);
        }
#endif
    }
    if (team.stopped()) throw Interrupted();
}

Range share(std::ptrdiff_t n, int thread, int threads, std::ptrdiff_t unit) {
    const std::ptrdiff_t units = (n + unit - 1) / unit;
    return {std::min(n, units * thread / threads * unit), std::min(n, units * (thread + 1) / threads * unit)};
}

}  // namespace rnncore
