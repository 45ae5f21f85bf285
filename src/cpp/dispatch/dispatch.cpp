#include "dispatch/dispatch.hpp"

#include <atomic>
#include <cstdlib>

#include "core/error.hpp"
#include "dispatch/amx.hpp"
#include "reference/reference.hpp"

namespace rnncore {

namespace baseline {
extern const KernelTable table;
}
#ifdef RNNCORE_HAVE_AVX2
namespace avx2 {
extern const KernelTable table;
}
#endif
#ifdef RNNCORE_HAVE_AVX512
namespace avx512 {
extern const KernelTable table;
}
#endif
#ifdef RNNCORE_HAVE_AVX512_BF16
namespace avx512_bf16 {
extern const KernelTable table;
}
#endif
#ifdef RNNCORE_HAVE_AVX512_AMX
namespace avx512_amx {
extern const KernelTable table;
}
#endif

namespace {

struct Candidate {
    const KernelTable* table;
    bool (*supported)();
};

// From the least to the most capable. The compiler's own check includes whether the system saves the registers.
const Candidate kCandidates[] = {
    {&baseline::table, [] { return true; }},
#ifdef RNNCORE_HAVE_AVX2
    {&avx2::table, [] { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") != 0; }},
#endif
#ifdef RNNCORE_HAVE_AVX512
    {&avx512::table,
     [] {
         return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") != 0;
     }},
#endif
#ifdef RNNCORE_HAVE_AVX512_BF16
    {&avx512_bf16::table,
     [] { return __builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("avx512vnni") != 0; }},
#endif
#ifdef RNNCORE_HAVE_AVX512_AMX
    {&avx512_amx::table,
     [] { return __builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("avx512vnni") && amx_is_permitted(); }},
#endif
};

std::string joined(const std::vector<std::string>& names) {
    std::string text;
    for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
    return text;
}

const KernelTable& find(const std::string& name, const char* argument) {
    if (name == "reference") return reference::table;
    for (const Candidate& c : kCandidates) {
        if (name != c.table->name) continue;
        if (!c.supported())
            throw Invalid(std::string(argument) + ": this machine lacks the instruction set '" + name +
                          "'; available: " + joined(available_isas()));
        return *c.table;
    }
    throw Invalid(std::string(argument) + ": unknown instruction set '" + name +
                  "'; available: " + joined(available_isas()));
}

const KernelTable& first_choice() {
    if (const char* forced = std::getenv("RNNCORE_ISA"); forced && *forced) return find(forced, "RNNCORE_ISA");
    const KernelTable* best = nullptr;
    for (const Candidate& c : kCandidates) {
        if (c.supported()) best = c.table;
    }
    return *best;
}

std::atomic<const KernelTable*> active{nullptr};

}  // namespace

const KernelTable& active_table() {
    const KernelTable* table = active.load(std::memory_order_acquire);
    if (!table) {
        table = &first_choice();
        active.store(table, std::memory_order_release);
    }
    return *table;
}

std::vector<std::string> available_isas() {
    std::vector<std::string> names;
    for (const Candidate& c : kCandidates) {
        if (c.supported()) names.emplace_back(c.table->name);
    }
    return names;
}

std::vector<std::string> compiled_isas() {
    std::vector<std::string> names;
    for (const Candidate& c : kCandidates) names.emplace_back(c.table->name);
    return names;
}

void select_isa(const std::string& name) { active.store(&find(name, "name"), std::memory_order_release); }

}  // namespace rnncore
