#include "rnn/stored.hpp"

#include <type_traits>

namespace rnncore {

Storage storage_named(const std::string& name) {
    if (name == "full") return Storage::full;
    if (name == "bfloat16") return Storage::bfloat16;
    if (name == "int8") return Storage::int8;
    throw Invalid("weights: expected 'full', 'bfloat16' or 'int8', got '" + name + "'");
}

template <class T>
void check(Storage storage, Index k) {
    if (storage == Storage::full) return;
    if (!std::is_same_v<T, float>)
        throw Invalid("weights: expected 'float64', the type of the parameters, got a narrower one");
    constexpr Index kMost = 1 << 16;  // 2^16 * 127 * 255 < 2^31: sums of products of eight bits fit
    if (storage == Storage::int8 && k > kMost)
        throw Invalid("weights: expected 'float32' or 'bfloat16' where a row has more than " + std::to_string(kMost) +
                      " weights, got 'int8' for " + std::to_string(k));
}

template void check<float>(Storage, Index);
template void check<double>(Storage, Index);

}  // namespace rnncore
