#include "rnn/attention_rnn/gradients.hpp"

#include <algorithm>

#include "rnn/schedule.hpp"

namespace rnncore {

template <class T>
struct AttentionRnnGradients<T>::Job {
    const DecoderChunk& chunk;
    const DecoderGradients<T>& d;
    const Worker& worker;
    const T** rows;  // operands of each row
    T* scratch;
    const T* zeros;
};

template <class T>
AttentionRnnGradients<T>::AttentionRnnGradients(Arena& arena, const AttentionRnnTape<T>& tape,
                                                const Kernels<T>& kernels, Index rows, int threads)
    : tape_(tape),
      layer_(tape.layer),
      kernels_(kernels),
      zeros_(arena.reserve<T>(static_cast<std::size_t>(layer_.hidden()))) {
    for (int i = 0; i < threads; ++i) {
        products_.push_back(arena.reserve<T>(static_cast<std::size_t>(kernels.outer_scratch)));
        rows_.push_back(arena.reserve<const T*>(static_cast<std::size_t>(rows)));
    }
}

template <class T>
void AttentionRnnGradients<T>::begin(const Arena& arena) const {
    std::fill_n(zeros_.in(arena), layer_.hidden(), T(0));
}

template <class T>
void AttentionRnnGradients<T>::point_at(const Job& job, const Matrix<const T>& operand) const {
    for (Index r = 0; r < job.chunk.rows; ++r) job.rows[r] = operand.row(r);
}

// At what a state was before each row.
template <class T>
void AttentionRnnGradients<T>::point_at_previous(const Job& job, const Matrix<T>& states, int state) const {
    const Sequence& seq = tape_.sequence;
    const T* const initial = tape_.initial[state];
    const T** to = job.rows;
    for (Index t = job.chunk.chunk.lo; t < job.chunk.chunk.hi; ++t) {
        for (Index b = 0; b < seq.active(t); ++b) {
            if (t > 0)
                *to++ = states.row(seq.first(t - 1) + b);
            else
                *to++ = initial ? initial + b * layer_.hidden() : job.zeros;
        }
    }
}

// c [columns of a, n] += a^T times the rows that are pointed at
template <class T>
void AttentionRnnGradients<T>::add_outer(const Job& job, const Matrix<const T>& a, T* c, Index ldc, Index n) const {
    const Range part = job.worker.share(a.columns, kernels_.tile_rows);
    const Index m = part.last - part.first;
    if (m > 0 && a.rows > 0)
        kernels_.outer_product(
            {a.data + part.first, a.stride, job.rows, c + part.first * ldc, ldc, a.rows, m, n, job.scratch});
}

// dW_ih += da^T [x; a'] or da^T c,  dW_hh += da^T h',  db += da
template <class T>
void AttentionRnnGradients<T>::add_cell(const Job& job, int i, T* grads) const {
    const Network& net = layer_.cell(i);
    const ParameterOffsets at = net.offsets(0, 0);
    const Index h = net.units(), width = net.input(0), first = job.chunk.first, rows = job.chunk.rows;
    const Matrix<const T> da{job.d.cells[i].gates, rows, net.gate_columns(), row_pitch<T>(net.gate_columns())};
    T* const weight_ih = grads + at.weight_ih;
    if (i == 0) {
        point_at(job, {tape_.x + first * layer_.input(), rows, layer_.input(), layer_.input()});
        add_outer(job, da, weight_ih, width, layer_.input());
        if (layer_.feeds_input()) {
            point_at_previous(job, tape_.y, layer_.attentional());
            add_outer(job, da, weight_ih + layer_.input(), width, h);
        }
        point_at_previous(job, layer_.feeds_input() ? tape_.hidden : tape_.y, 0);
    } else {
        point_at(job, {tape_.context.row(first), rows, width, tape_.context.stride});
        add_outer(job, da, weight_ih, width, width);
        point_at(job, {tape_.hidden.row(first), rows, h, tape_.hidden.stride});
    }
    if (net.bias()) add_column_sums<T>(kernels_, da, grads + at.bias_ih, job.worker);
    for (const RecurrentProduct& product : net.cell()) {
        if (product.operand == RecurrentProduct::Operand::extra)
            point_at(job, {tape_.cells[i].extra + first * h, rows, h, h});
        Matrix<const T> d{da.data + product.first_gate * h, rows, product.gates * h, da.stride};
        if (product.result == RecurrentProduct::Result::extra) d = {job.d.cells[i].extra, rows, h, h};
        add_outer(job, d, grads + at.weight_hh + product.first_gate * h * h, h, h);
        if (net.bias()) add_column_sums<T>(kernels_, d, grads + at.bias_hh + product.first_gate * h, job.worker);
    }
}

template <class T>
void AttentionRnnGradients<T>::add(const Arena& arena, const DecoderChunk& chunk, const DecoderGradients<T>& d,
                                   const AttentionRnnArrays<T>& grads, const Worker& w) const {
    const auto thread = static_cast<std::size_t>(w.thread);
    const Job job{chunk, d, w, rows_[thread].in(arena), products_[thread].in(arena), zeros_.in(arena)};
    const Index h = layer_.hidden();
    add_cell(job, 0, grads.first);
    if (layer_.feeds_input()) {
        // dW_c += da^T [c; h]
        const Matrix<const T> da{d.combined, chunk.rows, h, h};
        point_at(job, {tape_.context.row(chunk.first), chunk.rows, layer_.joint(), tape_.context.stride});
        add_outer(job, da, grads.last, layer_.joint(), layer_.joint());
        if (T* const bias = grads.combine_bias(layer_)) add_column_sums<T>(kernels_, da, bias, w);
    } else {
        add_cell(job, 1, grads.last);
    }
    if (!d.queries) return;
    // dW_q += dq^T q
    const Index width = tape_.memory.width;
    const Matrix<const T> dq{d.queries, chunk.rows, width, width};
    point_at(job, {tape_.hidden.row(chunk.first), chunk.rows, h, tape_.hidden.stride});
    add_outer(job, dq, grads.query_weight, h, h);
    if (grads.query_bias) add_column_sums<T>(kernels_, dq, grads.query_bias, w);
}

template class AttentionRnnGradients<float>;
template class AttentionRnnGradients<double>;

}  // namespace rnncore
