// Layers of RTNeural with one input and sizes fixed when compiled, for bench_rtneural.py, which compiles this file once for
// each of its backends. For a layer, e.g. LSTM of 16 units:
//     lstm_16_set(w, u, b)   takes W [G*H], U^T [H, G*H] and the biases, of a GRU [2, 3*H], in RTNeural's order of gates
//     lstm_16_run(x, n, y)   x [n] -> y [n, H], from the state that the steps before have left
#include <RTNeural/RTNeural.h>

#include <cstring>
#include <vector>

namespace {

using Rows = std::vector<std::vector<float>>;

Rows rows(const float* from, int count, int columns) {
    Rows result;
    for (int i = 0; i < count; ++i) result.emplace_back(from + i * columns, from + (i + 1) * columns);
    return result;
}

template <class Layer>
Layer& layer() {
    static Layer* const one = new Layer;
    return *one;
}

template <class Layer>
void set(const float* w, const float* u, const float* b, int gates) {
    constexpr int h = Layer::out_size;
    Layer& l = layer<Layer>();
    l.setWVals(rows(w, 1, gates * h));
    l.setUVals(rows(u, h, gates * h));
    if constexpr (requires { l.setBVals(std::vector<float>()); })
        l.setBVals(rows(b, 1, gates * h)[0]);
    else
        l.setBVals(rows(b, 2, gates * h));
    l.reset();
}

template <class Layer>
void run(const float* x, long n, float* y) {
    constexpr int h = Layer::out_size;
    Layer& l = layer<Layer>();
    for (long t = 0; t < n; ++t) {
#if RTNEURAL_USE_EIGEN
        Eigen::Matrix<float, 1, 1> input;
        input(0) = x[t];
        l.forward(input);
        std::memcpy(y + t * h, l.outs.data(), h * sizeof(float));
#else
        const xsimd::batch<float> input[1] = {xsimd::batch<float>(x[t])};
        l.forward(input);
        std::memcpy(y + t * h, reinterpret_cast<const float*>(l.outs), h * sizeof(float));
#endif
    }
}

}  // namespace

#define FUNCTIONS(name, Layer, gates, h)                                               \
    extern "C" void name##_##h##_set(const float* w, const float* u, const float* b) { \
        set<RTNeural::Layer<float, 1, h>>(w, u, b, gates);                             \
    }                                                                                  \
    extern "C" void name##_##h##_run(const float* x, long n, float* y) { run<RTNeural::Layer<float, 1, h>>(x, n, y); }
#define SIZES(name, Layer, gates)     \
    FUNCTIONS(name, Layer, gates, 16) \
    FUNCTIONS(name, Layer, gates, 32) \
    FUNCTIONS(name, Layer, gates, 64) \
    FUNCTIONS(name, Layer, gates, 128)

SIZES(lstm, LSTMLayerT, 4)
SIZES(gru, GRULayerT, 3)
