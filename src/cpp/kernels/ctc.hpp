// Connectionist temporal classification: loss and gradient of one sequence (Graves, Fernandez, Gomez and Schmidhuber
// 2006), in logarithms.
//
// A path through L labels passes L + 1 blanks and L labels: blank i stands before label i, blank L at the end. All are
// vectors over i, in rows of two halves. The sums of paths from the first frame, alpha, and to the last frame, beta,
// are made by one and the same step. Each row is kept relative to the greatest element of the row before, so that few
// digits are lost in long sequences; what those come to is summed in double precision.
#pragma once

#include "kernels/losses.hpp"
#include "kernels/math.hpp"
#include "kernels/table.hpp"

namespace rnncore::RNNCORE_ISA {

// The logarithm of a probability of 0: finite, so that the difference of two is a number. Sums of it over frames stay
// finite. What is below half of it counts as 0.
template <class T>
inline constexpr T kNever = T(-1e30);

// A row of sums: blanks [width], one element, labels [width], one element. The elements between, and those behind the
// last blank and label, are kNever.
template <class T>
struct CtcLayout {
    Index width;  // L + 1 up to a multiple of the lanes

    explicit CtcLayout(Index labels) : width((labels + kLanes<T>) / kLanes<T> * kLanes<T>) {}
    Index labels() const { return width + 1; }               // where they begin
    Index emissions() const { return 2 * width + 2; }        // [1 + width]: log p of the blank, and of each label
    Index share() const { return emissions() + 1 + width; }  // of the row's exponentials in the softmax
    Index frame() const { return share() + 1; }
};

template <class T>
Index ctc_frame_bytes(Index label_count) {
    return CtcLayout<T>(label_count).frame() * static_cast<Index>(sizeof(T));
}

template <class T>
[[gnu::always_inline]] inline Vec<T> log_add(Vec<T> a, Vec<T> b) {
    const auto less = a < b;
    const Vec<T> high = less ? b : a, low = less ? a : b;
    return high + log_of_few<T>(exp<T>(low - high) + T(1));
}

template <class T>
[[gnu::always_inline]] inline Vec<T> log_add(Vec<T> a, Vec<T> b, Vec<T> c) {
    const auto less = a < b;
    const Vec<T> greater = less ? b : a, low = less ? a : b;
    const auto last = greater < c;
    const Vec<T> high = last ? c : greater, middle = last ? greater : c;
    return high + log_of_few<T>(exp<T>(low - high) + exp<T>(middle - high) + T(1));
}

// The sums over the ways into each state from the row `from`, forward in time
//     blank'[i] = blank[i] + label[i - 1],    label'[i] = label[i] + blank[i] + label[i - 1], if those two differ
// and backward
//     blank'[i] = blank[i] + label[i],        label'[i] = label[i] + blank[i + 1] + label[i + 1], if those two differ.
// skip[i] is the logarithm of 1 or 0: whether labels i - 1 and i differ.
template <class T>
[[gnu::noinline]] void ctc_step(const CtcLayout<T>& layout, const T* from, const T* skip, bool backward, T* to) {
    const Index shift = backward ? 1 : 0, width = layout.width;
    const T *blank = from, *label = from + layout.labels();
    T* const to_label = to + layout.labels();
    for (Index i = 0; i < width; i += kLanes<T>) {
        const Vec<T> b = load(blank + i), l = load(label + i);
        const Vec<T> skipped = load(label + i - 1 + 2 * shift) + load(skip + i + shift);
        store(to + i, log_add<T>(b, load(label + i - 1 + shift)));
        store(to_label + i, log_add<T>(l, load(blank + i + shift), skipped));
    }
    to[width] = to_label[width] = kNever<T>;
}

template <class T>
[[gnu::always_inline]] inline T greatest_lane(Vec<T> v) {
    T result = v[0];
    for (int j = 1; j < kLanes<T>; ++j) result = v[j] > result ? v[j] : result;
    return result;
}

// row += emissions - offset; returns the greatest element
template <class T>
[[gnu::noinline]] T ctc_emit(const CtcLayout<T>& layout, const T* emissions, T offset, T* row) {
    const Vec<T> blank = splat(emissions[0] - offset);
    T* const labels = row + layout.labels();
    Vec<T> greatest = splat(kNever<T>);
    for (Index i = 0; i < layout.width; i += kLanes<T>) {
        const Vec<T> b = load(row + i) + blank, l = load(labels + i) + (load(emissions + 1 + i) - offset);
        store(row + i, b);
        store(labels + i, l);
        const Vec<T> both = b > l ? b : l;
        greatest = both > greatest ? both : greatest;
    }
    return greatest_lane<T>(greatest);
}

// exp(x - shift) in the place of x; returns their sum
template <class T>
[[gnu::noinline]] double ctc_exponentials(T* x, Index n, T shift) {
    return exponentials<T, true>(x, n, shift);
}

// The emissions of a frame z. With `gradient`, z becomes its exponentials, whose share in the softmax is kept. Returns
// whether they are probabilities.
template <class T>
bool ctc_softmax(const Ctc<T>& s, const CtcLayout<T>& layout, T* z, T* frame) {
    T* const emissions = frame + layout.emissions();
    const T shift = greatest(z, s.symbols);
    emissions[0] = z[s.blank] - shift;
    for (Index i = 0; i < s.label_count; ++i) emissions[1 + i] = z[s.labels[i]] - shift;
    for (Index i = s.label_count; i < layout.width; ++i) emissions[1 + i] = kNever<T>;
    if (!s.gradient) {
        for_lanes<T>(s.symbols, [&](Index k, auto lanes) { lanes.store(s.row + k, lanes.load(z + k)); });
        z = s.row;
    }
    const double sum = ctc_exponentials(z, s.symbols, shift);
    if (!(sum > 0 && sum < __builtin_inf())) return false;
    const T log_sum = static_cast<T>(__builtin_log(sum));
    for_lanes<T>(1 + layout.width, [&](Index i, auto lanes) {
        lanes.store(emissions + i, at_least<T>(lanes.load(emissions + i) - log_sum, kNever<T>));
    });
    frame[layout.share()] = static_cast<T>(1 / sum);
    return true;
}

// The gradient of a frame: (softmax - posterior) * scale, where the posterior of a state is its part in the sum over
// all paths, alpha beta over the sum of these. `row` holds exponentials, `frame` alpha and what belongs to it, `beta`
// the sums from the next frame on.
template <class T>
void ctc_frame_gradient(const Ctc<T>& s, const CtcLayout<T>& layout, const T* beta, T* frame, T* row) {
    const Index width = layout.width;
    const T share = frame[layout.share()] * s.scale;
    for_lanes<T>(s.symbols, [&](Index k, auto lanes) { lanes.store(row + k, lanes.load(row + k) * share); });

    Vec<T> best = splat(2 * kNever<T>);
    for (Index half = 0; half <= layout.labels(); half += layout.labels()) {
        for (Index i = half; i < half + width; i += kLanes<T>) {
            const Vec<T> product = load(frame + i) + load(beta + i);
            store(frame + i, product);
            best = product > best ? product : best;
        }
    }
    const T top = greatest_lane<T>(best);
    const double blanks = ctc_exponentials(frame, width, top);
    T* const labels = frame + layout.labels();
    const double all = blanks + ctc_exponentials(labels, width, top);
    row[s.blank] -= static_cast<T>(blanks / all) * s.scale;
    const T factor = static_cast<T>(1 / all) * s.scale;
    for (Index i = 0; i < s.label_count; ++i) row[s.labels[i]] -= labels[i] * factor;
}

// Rows of a sequence without a gradient.
template <class T>
double ctc_without(const Ctc<T>& s, T gradient, double loss) {
    if (s.gradient) {
        for (Index t = 0; t < s.frames; ++t)
            for_lanes<T>(s.symbols, [&](Index k, auto lanes) { lanes.store(s.rows[t] + k, splat(gradient)); });
    }
    return loss;
}

template <class T>
double ctc(const Ctc<T>& s) {
    const CtcLayout<T> layout(s.label_count);
    const Index last_label = layout.labels() + s.label_count - 1;
    // row 0 is before the first frame; without gradient two rows take turns
    const auto row_of = [&](Index t) {
        return static_cast<T*>(s.scratch) + (s.gradient ? t + 1 : (t + 1) % 2) * layout.frame();
    };
    T* const spare = row_of(s.gradient ? s.frames : 0) + (s.gradient ? 0 : layout.frame());
    const auto start = [&](T* row, Index blank) {
        for (Index i = 0; i < layout.emissions(); ++i) row[i] = kNever<T>;
        row[blank] = 0;
    };
    T* const skip = spare;  // [width + 1]
    for (Index i = 0; i <= layout.width; ++i)
        skip[i] = i > 0 && i < s.label_count && s.labels[i] != s.labels[i - 1] ? T(0) : kNever<T>;

    // 1. alpha: from the blank before the first label
    start(row_of(-1), 0);
    double total = 0;
    T offset = 0;
    for (Index t = 0; t < s.frames; ++t) {
        T* const frame = row_of(t);
        if (!ctc_softmax(s, layout, s.rows[t], frame))
            return ctc_without(s, static_cast<T>(__builtin_nan("")), __builtin_nan(""));
        ctc_step(layout, row_of(t - 1), skip, false, frame);
        total += static_cast<double>(offset);
        offset = ctc_emit(layout, frame + layout.emissions(), offset, frame);
        if (offset < kNever<T> / 2) return ctc_without(s, T(0), __builtin_inf());
    }

    // 2. all paths end in the last blank or the last label
    const T* const end = row_of(s.frames - 1);
    const T blank = end[s.label_count], label = end[last_label];
    const T high = blank > label ? blank : label;
    if (high < kNever<T> / 2) return ctc_without(s, T(0), __builtin_inf());
    const double other = __builtin_exp(static_cast<double>((blank > label ? label : blank) - high));
    const double log_p = total + static_cast<double>(high) + __builtin_log(1 + other);
    const double loss = log_p < 0 ? -log_p : 0;
    if (!s.gradient) return loss;

    // 3. beta: from the blank after the last label, and with it the gradient of each frame
    T *from = spare + layout.frame(), *to = from + layout.frame();
    start(from, s.label_count);
    offset = 0;
    for (Index t = s.frames; t-- > 0;) {
        T* const frame = row_of(t);
        ctc_step(layout, from, skip, true, to);
        ctc_frame_gradient(s, layout, to, frame, s.rows[t]);
        offset = ctc_emit(layout, frame + layout.emissions(), offset, to);
        T* const next = from;
        from = to;
        to = next;
    }
    return loss;
}

}  // namespace rnncore::RNNCORE_ISA
