// Attention of some queries to one sequence, element by element.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/table.hpp"

namespace rnncore::reference {

template <class T>
double tanh_of_sum(const Attention<T>& p, Index t, Index s, Index i) {
    return std::tanh(double(p.query[t * p.ld_query + i]) + double(p.keys[s * p.ld_keys + i]));
}

template <class T>
double attention_score(const Attention<T>& p, Index t, Index s) {
    double sum = 0;
    for (Index i = 0; i < p.width; ++i)
        sum += p.v ? double(p.v[i]) * tanh_of_sum(p, t, s, i)
                   : double(p.query[t * p.ld_query + i]) * double(p.keys[s * p.ld_keys + i]);
    return p.v ? sum : sum * double(p.scale);
}

// weights[t] = softmax of the scores, context[t] = sum over s of weights[t, s] values[s]
template <class T>
void attention(const Attention<T>& p) {
    std::vector<double> scores(static_cast<std::size_t>(p.steps));
    for (Index t = 0; t < p.queries; ++t) {
        double greatest = -HUGE_VAL, sum = 0;
        for (Index s = 0; s < p.steps; ++s)
            greatest = std::max(greatest, scores[static_cast<std::size_t>(s)] = attention_score(p, t, s));
        for (double& score : scores) sum += score = std::exp(score - greatest);
        T* const weights = p.weights + t * p.ld_weights;
        for (Index s = 0; s < padded_weights(p.steps); ++s)
            weights[s] = s < p.steps ? static_cast<T>(scores[static_cast<std::size_t>(s)] / sum) : T(0);
        for (Index i = 0; i < p.value_width; ++i) {
            double context = 0;
            for (Index s = 0; s < p.steps; ++s) context += double(weights[s]) * double(p.values[s * p.ld_values + i]);
            p.context[t * p.ld_context + i] = static_cast<T>(context);
        }
    }
}

// dscores[t, s] = scale weights[t, s] (dweights[t, s] - sum over r of weights[t, r] dweights[t, r]), where
// dweights[t, s] = dcontext[t] . values[s]
template <class T>
void attention_scores_backward(const AttentionBackward<T>& p) {
    const Attention<T>& of = p.of;
    std::vector<double> dweights(static_cast<std::size_t>(of.steps));
    for (Index t = 0; t < of.queries; ++t) {
        const T* const weights = of.weights + t * of.ld_weights;
        double mean = 0;
        for (Index s = 0; s < of.steps; ++s) {
            double& sum = dweights[static_cast<std::size_t>(s)] = 0;
            for (Index i = 0; i < of.value_width; ++i)
                sum += double(p.dcontext[t * p.ld_dcontext + i]) * double(of.values[s * of.ld_values + i]);
            mean += double(weights[s]) * sum;
        }
        T* const row = p.dscores + t * of.ld_weights;
        std::fill_n(row, padded_weights(of.steps), T(0));
        for (Index s = 0; s < of.steps; ++s)
            row[s] = static_cast<T>(double(weights[s]) * (dweights[static_cast<std::size_t>(s)] - mean) *
                                    (of.v ? 1.0 : double(of.scale)));
    }
}

// d score[t, s] / d query[t, i], which with v is also that by keys[s, i]
template <class T>
double score_by_query(const Attention<T>& of, Index t, Index s, Index i) {
    if (!of.v) return double(of.keys[s * of.ld_keys + i]);
    const double u = tanh_of_sum(of, t, s, i);
    return double(of.v[i]) * (1 - u * u);
}

template <class T>
void attention_query_backward(const AttentionBackward<T>& p) {
    const Attention<T>& of = p.of;
    for (Index i = 0; i < of.width; ++i) {
        for (Index t = 0; t < of.queries; ++t) {
            double sum = 0;
            for (Index s = 0; s < of.steps; ++s)
                sum += double(p.dscores[t * of.ld_weights + s]) * score_by_query(of, t, s, i);
            p.dquery[t * p.ld_dquery + i] = static_cast<T>(sum);
        }
        if (!of.v) continue;
        double dv = p.dv[i];
        for (Index s = 0; s < of.steps; ++s) {
            double sum = p.dkeys[s * p.ld_dkeys + i];
            for (Index t = 0; t < of.queries; ++t) {
                const double dscore = p.dscores[t * of.ld_weights + s];
                sum += dscore * score_by_query(of, t, s, i);
                dv += dscore * tanh_of_sum(of, t, s, i);
            }
            p.dkeys[s * p.ld_dkeys + i] = static_cast<T>(sum);
        }
        p.dv[i] = static_cast<T>(dv);
    }
}

// c[s, i] += sum over t of weights[t, s] rows[t, i]
template <class T>
void add_weighted_rows(const Attention<T>& of, const T* weights, const T* rows, Index ld_rows, Index width, T* c,
                       Index ldc) {
    for (Index s = 0; s < of.steps; ++s) {
        for (Index i = 0; i < width; ++i) {
            double sum = c[s * ldc + i];
            for (Index t = 0; t < of.queries; ++t)
                sum += double(weights[t * of.ld_weights + s]) * double(rows[t * ld_rows + i]);
            c[s * ldc + i] = static_cast<T>(sum);
        }
    }
}

template <class T>
void attention_memory_backward(const AttentionBackward<T>& p) {
    const Attention<T>& of = p.of;
    add_weighted_rows(of, of.weights, p.dcontext, p.ld_dcontext, of.value_width, p.dvalues, p.ld_dvalues);
    if (!of.v) add_weighted_rows(of, p.dscores, of.query, of.ld_query, of.width, p.dkeys, p.ld_dkeys);
}

}  // namespace rnncore::reference
