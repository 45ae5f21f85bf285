// The kernels of one instruction set: compiled once for each, with its own flags and RNNCORE_ISA naming its namespace.
#include "kernels/attention.hpp"
#include "kernels/ceilings.hpp"
#include "kernels/cells.hpp"
#include "kernels/converted_product.hpp"
#include "kernels/ctc.hpp"
#include "kernels/elementwise.hpp"
#include "kernels/losses.hpp"
#include "kernels/optimisers.hpp"
#include "kernels/outer_product.hpp"
#include "kernels/product.hpp"
#include "kernels/random.hpp"
#include "kernels/squares.hpp"
#include "kernels/steps.hpp"

#define RNNCORE_TEXT_OF(x) #x
#define RNNCORE_TEXT(x) RNNCORE_TEXT_OF(x)

namespace rnncore::RNNCORE_ISA {

template <class S>
inline constexpr StorageKernels<typename S::Value> kStorage = {
    .rows = kFewRows,
    .packed_bytes = packed_bytes<S>,
    .scratch_bytes = few_rows_scratch<S>,
    .pack = pack_storage<S>,
    .product = few_rows<S>,
    .look_up = look_up<S>,
    .rnn_steps = {run_steps<S, RnnStep<S, Nonlinearity::tanh>>, run_steps<S, RnnStep<S, Nonlinearity::relu>>,
                  run_steps<S, RnnStep<S, Nonlinearity::sigmoid>>, run_steps<S, RnnStep<S, Nonlinearity::identity>>},
    .lstm_steps = run_steps<S, LstmStep<S>>,
    .gru_after_steps = run_steps<S, GruAfterStep<S>>,
    .gru_before_steps = run_steps<S, GruBeforeStep<S>>,
};

template <class T>
struct StoragesOf {
    static constexpr StorageKernels<T> all[kStorages] = {kStorage<FullStorage<T>>};
};
template <>
struct StoragesOf<float> {
    static constexpr StorageKernels<float> all[kStorages] = {kStorage<FullStorage<float>>, kStorage<Bfloat16Storage>,
                                                             kStorage<Int8Storage>, kStorage<DynamicInt8Storage>};
};

template <class T>
inline constexpr Kernels<T> kKernels = {
    .lanes = kLanes<T>,
    .tile_rows = kTileRows,
    .tile_columns = kPanel<T>,
    .k_steps = 1,
    .k_elements = 1,
    .makes_squares = false,
    .product_scratch_bytes = 0,
    .outer_scratch = kOuterScratch<Whole<T>>,
    .pack = pack<Whole<T>>,
    .product = product<T>,
    .outer_product = outer_product<Whole<T>>,
    .add_column_sums = add_column_sums<T>,
    .rnn_forward = {rnn_forward<Nonlinearity::tanh, T>, rnn_forward<Nonlinearity::relu, T>,
                    rnn_forward<Nonlinearity::sigmoid, T>, rnn_forward<Nonlinearity::identity, T>},
    .rnn_backward = {rnn_backward<Nonlinearity::tanh, T>, rnn_backward<Nonlinearity::relu, T>,
                     rnn_backward<Nonlinearity::sigmoid, T>, rnn_backward<Nonlinearity::identity, T>},
    .lstm_forward = lstm_forward<T>,
    .lstm_backward = lstm_backward<T>,
    .gru_after_forward = gru_after_forward<T>,
    .gru_after_backward = gru_after_backward<T>,
    .gru_before_gates = gru_before_gates<T>,
    .gru_before_output = gru_before_output<T>,
    .gru_before_output_backward = gru_before_output_backward<T>,
    .gru_before_gates_backward = gru_before_gates_backward<T>,
    .attention = attention<T>,
    .attention_scores_backward = attention_scores_backward<T>,
    .attention_query_backward = attention_query_backward<T>,
    .attention_memory_backward = attention_memory_backward<T>,
    .cross_entropy_grad = cross_entropy_grad<T>,
    .cross_entropy = cross_entropy<T>,
    .ctc = ctc<T>,
    .ctc_frame_bytes = ctc_frame_bytes<T>,
    .exp = map_exp<T>,
    .sigmoid = map_sigmoid<T>,
    .tanh = map_tanh<T>,
    .add = add<T>,
    .scale = scale<T>,
    .multiply = multiply<T>,
    .clip = clip<T>,
    .squared_norm = squared_norm<T>,
    .dropout = dropout<T>,
    .storages = {StoragesOf<T>::all[0], StoragesOf<T>::all[1], StoragesOf<T>::all[2], StoragesOf<T>::all[3]},
    .sgd = sgd<T>,
    .rmsprop = rmsprop<T>,
    .adam = adam<T>,
    .multiply_adds = multiply_adds<T>,
    .repeated_sum = repeated_sum<T>,
};

// f32 with the operands of products in another format.
template <class F>
constexpr Kernels<float> kernels_with_operands() {
    Kernels<float> kernels = kKernels<float>;
    kernels.k_steps = F::unit * F::steps;
    kernels.k_elements = F::unit * F::parts;
    kernels.makes_squares = F::unit > 1;
    kernels.product_scratch_bytes = kConvertedBytes<F>;
    kernels.outer_scratch = kOuterScratch<F>;
    kernels.pack = pack<F>;
    kernels.product = converted_product<F>;
#if defined(RNNCORE_AMX)
    kernels.tile_rows = kSquare;
    kernels.outer_product = outer_product<F, OuterSquares<F>>;
#else
    kernels.outer_product = outer_product<F>;
#endif
    return kernels;
}

extern const KernelTable table;
const KernelTable table = {.name = RNNCORE_TEXT(RNNCORE_ISA),
                           .f32 = kKernels<float>,
                           .f64 = kKernels<double>,
                           .bf16 = kernels_with_operands<Bfloat16>(),
#if defined(RNNCORE_AMX)
                           .f32_tall = kernels_with_operands<SplitPairs>()};
#else
                           .f32_tall = kKernels<float>};
#endif

}  // namespace rnncore::RNNCORE_ISA
