#include "rnn/kernel_choice.hpp"

#include "dispatch/dispatch.hpp"
#include "rnn/matrix.hpp"

namespace rnncore {
namespace {

// Measured: with fewer rows, packing the other matrix takes longer than is won; and in the steps of a pass, of whose rows a
// thread may have half, the squares are too low, or the weights, if they are beyond the L2 cache, come too slowly.
constexpr Index kTallRows = 64;
constexpr Index kTallStep = 16, kTallFarStep = 32;
constexpr std::size_t kFarBytes = std::size_t{2} << 20;

}  // namespace

template <class T>
const Kernels<T>& kernels_for_rows(Compute compute, Index rows) {
    return kernels<T>(compute, rows >= kTallRows ? Height::tall : Height::any);
}

template <class T>
PassKernels<T> pass_kernels(const Network& network, Index batch, Index rows) {
    const Compute compute = network.compute();
    const Kernels<T>& whole = kernels_for_rows<T>(compute, rows);
    const auto packed = static_cast<std::size_t>(packed_size(whole, network.hidden(), network.gate_columns()));
    const Index least = packed * sizeof(T) > kFarBytes ? kTallFarStep : kTallStep;
    return {whole, batch >= least ? whole : kernels<T>(compute)};
}

template const Kernels<float>& kernels_for_rows<float>(Compute, Index);
template const Kernels<double>& kernels_for_rows<double>(Compute, Index);
template PassKernels<float> pass_kernels<float>(const Network&, Index, Index);
template PassKernels<double> pass_kernels<double>(const Network&, Index, Index);

}  // namespace rnncore
