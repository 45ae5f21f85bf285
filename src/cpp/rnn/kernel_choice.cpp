#include "rnn/kernel_choice.hpp"

#include "dispatch/dispatch.hpp"
#include "rnn/matrix.hpp"

namespace rnncore {
namespace {

// With fewer rows, packing the other matrix takes longer than is won. Measured.
constexpr Index kTallRows = 64;
// In the steps of a pass far weights come too slowly for fewer rows. Measured.
constexpr Index kFarRows = 48;

// Where a step multiplies fewer weights with few rows, what it takes besides is felt: measured. From about as many on,
// threads divide its units (divides_units), which a call for many steps cannot.
constexpr Index kFewWeights = 25000;

// Whether so many rows fill tiles to three quarters: lower ones take nearly as long as whole ones. Measured.
template <class T>
bool fills_tiles(const Kernels<T>& kernels, Index rows) {
    const Index tiles = (rows + kernels.tile_rows - 1) / kernels.tile_rows;
    return 4 * rows >= 3 * tiles * kernels.tile_rows;
}

}  // namespace

template <class T>
const Kernels<T>& kernels_for_rows(Compute compute, Index rows) {
    return kernels<T>(compute, rows >= kTallRows ? Height::tall : Height::any);
}

template <class T>
PassKernels<T> pass_kernels(const Network& network, Index batch, Index rows) {
    const Compute compute = network.compute();
    const Kernels<T>& whole = kernels_for_rows<T>(compute, rows);
    const auto packed = static_cast<std::size_t>(packed_size(whole, network.recurrent(), network.gate_columns()));
    const bool far = packed * sizeof(T) > kFarWeightBytes;
    const StorageKernels<T>& steps = kernels<T>().storages[static_cast<int>(Storage::full)];
    const bool few = batch <= steps.rows && network.gate_columns() * network.recurrent() <= kFewWeights;
    return {whole, fills_tiles(whole, batch) && (!far || batch >= kFarRows) ? whole : kernels<T>(compute),
            few && compute == Compute::full ? &steps : nullptr};
}

template const Kernels<float>& kernels_for_rows<float>(Compute, Index);
template const Kernels<double>& kernels_for_rows<double>(Compute, Index);
template PassKernels<float> pass_kernels<float>(const Network&, Index, Index);
template PassKernels<double> pass_kernels<double>(const Network&, Index, Index);

}  // namespace rnncore
