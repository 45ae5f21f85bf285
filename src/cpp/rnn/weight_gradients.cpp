#include "rnn/weight_gradients.hpp"

#include <algorithm>

namespace rnncore {

template <class T>
WeightGradients<T>::WeightGradients(Arena& arena, const Tape<T>& tape, const Kernels<T>& kernels,
                                    const BackwardOutput<T>& out)
    : tape_(tape),
      net_(tape.network),
      kernels_(kernels),
      out_(out),
      ld_gates_(row_pitch<T>(net_.gate_columns())),
      zeros_(arena.reserve<T>(static_cast<std::size_t>(net_.recurrent()))) {
    if (!owns_table(0)) return;
    const std::size_t size =
        checked_product(static_cast<std::size_t>(tape.one_hot->used()), static_cast<std::size_t>(net_.gate_columns()));
    for (Index d = 0; d < net_.directions(); ++d) tables_[static_cast<std::size_t>(d)] = arena.reserve<T>(size);
}

template <class T>
void WeightGradients<T>::reserve_scratch(Arena& arena, Index rows, int threads) {
    for (int i = 0; i < threads; ++i) {
        products_.push_back(arena.reserve<T>(static_cast<std::size_t>(kernels_.outer_scratch)));
        rows_.push_back(arena.reserve<const T*>(static_cast<std::size_t>(rows)));
    }
}

template <class T>
void WeightGradients<T>::begin_pass(const Arena& arena) const {
    std::fill_n(zeros_.in(arena), net_.recurrent(), T(0));
}

template <class T>
void WeightGradients<T>::begin_direction(const Arena& arena, Index layer, Index direction) const {
    if (owns_table(layer)) std::fill_n(table(arena, direction), tape_.one_hot->used() * net_.gate_columns(), T(0));
}

template <class T>
void WeightGradients<T>::end_direction(const Arena& arena, Index layer, Index direction, const Worker& w) const {
    if (!owns_table(layer)) return;
    const Range part = w.share(net_.gate_columns());
    tape_.one_hot->scatter(table(arena, direction), net_.gate_columns(),
                           out_.grads + net_.offsets(layer, direction).weight_ih, net_.input(layer), part.first,
                           part.last);
}

template <class T>
void WeightGradients<T>::add(const Arena& arena, const ChunkRows& c, const SumGradients<T>& da, const Worker& w) const {
    if (one_hot(c.layer))
        add_to_table(arena, c, da.gates, w);
    else
        add_inputs(arena, c, da.gates, w);
    add_recurrent(arena, c, da, w);
    if (net_.bias()) add_biases(c, da, w);
}

// dW_ih += da^T x
template <class T>
void WeightGradients<T>::add_inputs(const Arena& arena, const ChunkRows& c, const T* da, const Worker& w) const {
    const Index width = net_.input(c.layer);
    const T* const x = tape_.layers[static_cast<std::size_t>(c.layer)].x + c.first * width;
    const T** const rows = row_pointers(arena, w);
    for (Index r = 0; r < c.rows; ++r) rows[r] = x + r * width;
    add_outer(arena, w,
              {da, ld_gates_, rows, out_.grads + net_.offsets(c.layer, c.direction).weight_ih, width, c.rows,
               net_.gate_columns(), width, nullptr});
}

template <class T>
void WeightGradients<T>::add_to_table(const Arena& arena, const ChunkRows& c, const T* da, const Worker& w) const {
    const Index columns = net_.gate_columns();
    const Range part = w.share(columns, kernels_.lanes);
    T* const sums = table(arena, c.direction);
    for (Index r = 0; r < c.rows; ++r) {
        const Index slot = tape_.one_hot->slot(tape_.first_row + c.first + r);
        kernels_.add(da + r * ld_gates_ + part.first, part.last - part.first, sums + slot * columns + part.first);
    }
}

template <class T>
Matrix<const T> WeightGradients<T>::gradient_of(const RecurrentProduct& product, const ChunkRows& c,
                                                const SumGradients<T>& da) const {
    const Index h = net_.units(), columns = product.gates * h;
    if (product.result == RecurrentProduct::Result::extra) return {da.extra, c.rows, columns, h};
    return {da.gates + product.first_gate * h, c.rows, columns, ld_gates_};
}

// dW_hh += da^T operand for the rows of each product. Rows that begin from a zero state add nothing.
template <class T>
void WeightGradients<T>::add_recurrent(const Arena& arena, const ChunkRows& c, const SumGradients<T>& da,
                                       const Worker& w) const {
    const Index k = net_.recurrent();
    T* const weight = out_.grads + net_.offsets(c.layer, c.direction).weight_hh;
    const T** const rows = row_pointers(arena, w);
    Range known = previous_rows(arena, c, rows);
    for (const RecurrentProduct& product : net_.cell()) {
        if (product.operand == RecurrentProduct::Operand::extra) {
            const LayerTape<T>& layer = tape_.layers[static_cast<std::size_t>(c.layer)];
            const T* const extra = layer.directions[c.direction].extra + c.first * net_.extra();
            for (Index r = 0; r < c.rows; ++r) rows[r] = extra + r * net_.extra();
            known = {0, c.rows};
        }
        const Matrix<const T> d = gradient_of(product, c, da);
        add_outer(arena, w,
                  {d.row(known.first), d.stride, rows + known.first, weight + product.first_gate * net_.units() * k, k,
                   known.last - known.first, d.columns, k, nullptr});
    }
}

template <class T>
void WeightGradients<T>::add_biases(const ChunkRows& c, const SumGradients<T>& da, const Worker& w) const {
    const ParameterOffsets at = net_.offsets(c.layer, c.direction);
    add_column_sums<T>(kernels_, {da.gates, c.rows, net_.gate_columns(), ld_gates_}, out_.grads + at.bias_ih, w);
    for (const RecurrentProduct& product : net_.cell())
        add_column_sums<T>(kernels_, gradient_of(product, c, da),
                           out_.grads + at.bias_hh + product.first_gate * net_.units(), w);
}

template <class T>
void WeightGradients<T>::add_outer(const Arena& arena, const Worker& w, OuterProduct<T> p) const {
    const Range part = w.share(p.m, kernels_.tile_rows);
    p.a += part.first;
    p.c += part.first * p.ldc;
    p.m = part.last - part.first;
    p.scratch = products_[static_cast<std::size_t>(w.thread)].in(arena);
    if (p.m > 0 && p.k > 0) kernels_.outer_product(p);
}

// Where the previous state of each of the chunk's rows stands. Rows at either end that begin from a zero state are left
// out: the range of the others is returned.
template <class T>
Range WeightGradients<T>::previous_rows(const Arena& arena, const ChunkRows& c, const T** rows) const {
    const LayerTape<T>& l = tape_.layers[static_cast<std::size_t>(c.layer)];
    const T* const h0 = l.directions[c.direction].initial[0];
    const Sequence& seq = tape_.sequence;
    const Index h = net_.direction_output(), ld_y = net_.output();
    const T* const zeros = zeros_.in(arena);
    for (Index t = c.chunk.lo; t < c.chunk.hi; ++t) {
        const RowTask all{c.direction, 0, seq.batch()};
        for_segments(seq, c.order, all, t, [&](Index begin, Index end, bool from_history) {
            const T* first = from_history ? l.y + seq.first(c.order.previous(t)) * ld_y + c.direction * h : h0;
            const Index stride = from_history ? ld_y : h;
            for (Index b = begin; b < end; ++b) rows[seq.first(t) - c.first + b] = first ? first + b * stride : zeros;
        });
    }
    Range known{0, c.rows};
    while (known.first < known.last && rows[known.first] == zeros) ++known.first;
    while (known.last > known.first && rows[known.last - 1] == zeros) --known.last;
    return known;
}

template class WeightGradients<float>;
template class WeightGradients<double>;

}  // namespace rnncore
