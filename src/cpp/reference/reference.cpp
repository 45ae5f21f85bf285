#include "reference/reference.hpp"

#include "reference/attention.hpp"
#include "reference/ceilings.hpp"
#include "reference/cells.hpp"
#include "reference/ctc.hpp"
#include "reference/elementwise.hpp"
#include "reference/optimisers.hpp"
#include "reference/products.hpp"
#include "reference/stored.hpp"

namespace rnncore::reference {

template <class T>
constexpr Kernels<T> kernels = {
    .lanes = 1,
    .tile_rows = 1,
    .tile_columns = 1,
    .k_steps = 1,
    .k_elements = 1,
    .makes_squares = false,
    .product_scratch_bytes = 0,
    .outer_scratch = 0,
    .pack = pack<T, whole<T>>,
    .product = product<T, whole<T>>,
    .outer_product = outer_product<T, whole<T>>,
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
    .ctc_frame_bytes = ctc_frame_bytes,
    .exp = map_exp<T>,
    .sigmoid = map_sigmoid<T>,
    .tanh = map_tanh<T>,
    .add = add<T>,
    .scale = scale<T>,
    .multiply = multiply<T>,
    .clip = clip<T>,
    .squared_norm = squared_norm<T>,
    .dropout = dropout<T>,
    .storages = {storage<T, Storage::full>, storage<T, Storage::bfloat16>, storage<T, Storage::int8>,
                 storage<T, Storage::int8_dynamic>},
    .sgd = sgd<T>,
    .rmsprop = rmsprop<T>,
    .adam = adam<T>,
    .multiply_adds = multiply_adds<T>,
    .repeated_sum = repeated_sum<T>,
};

constexpr Kernels<float> with_operands_in_bfloat16(Kernels<float> kernels) {
    kernels.pack = pack<float, rounded>;
    kernels.product = product<float, rounded>;
    kernels.outer_product = outer_product<float, rounded>;
    return kernels;
}

const KernelTable table = {.name = "reference",
                           .f32 = kernels<float>,
                           .f64 = kernels<double>,
                           .bf16 = with_operands_in_bfloat16(kernels<float>),
                           .f32_tall = kernels<float>};

}  // namespace rnncore::reference
