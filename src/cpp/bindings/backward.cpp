// Network's passes backward, from a gradient of the outputs or from the loss itself.
#include "rnn/backward.hpp"

#include <functional>

#include "bindings/arrays.hpp"
#include "bindings/interpreter.hpp"
#include "bindings/network.hpp"
#include "rnn/checkpoints.hpp"
#include "rnn/head.hpp"

namespace rnncore::bindings {
namespace {

template <class T>
const Tape<T>& tape_of(const PyNetwork& self, const PyCache& cache) {
    const auto* pointer = std::get_if<TapePointer<T>>(&cache.tape);
    if (!pointer || (*pointer)->network.parameter_count() != self.network.parameter_count() ||
        (*pointer)->network.cell() != self.network.cell())
        throw py::value_error("cache: expected the cache of a forward pass of this network, got another network's");
    return **pointer;
}

// work() without the interpreter's lock.
template <class Work>
void run_pass(const Sequence& sequence, const Work& work) {
    const Shape shape = {{"T", sequence.steps()}, {"B", sequence.batch()}};
    const auto pass = [&] { return "a backward pass over " + text_of(shape); };
    naming(pass, [&] { without_gil(work); });
}

// Packed rows [N, columns].
template <class T>
Block packed_rows(const Sequence& sequence, Index columns) {
    return Block(checked_product(
        checked_product(static_cast<std::size_t>(sequence.rows()), static_cast<std::size_t>(columns)), sizeof(T)));
}

// Packed rows [N, D*H] of dy: the caller's own where they already stand so.
template <class T>
class OutputGradientRows {
public:
    OutputGradientRows(const Sequence& sequence, const View<T>& dy, Index columns) : data_(dy.data) {
        if (!dy || (dy.contiguous() && !sequence.ragged())) return;
        copy_ = packed_rows<T>(sequence, columns);
        T* to = static_cast<T*>(copy_.data());
        pack_rows<T>(sequence, {dy.data, dy.strides[0], dy.strides[1], dy.strides[2]}, columns, to);
        data_ = to;
    }
    const T* data() const { return data_; }

private:
    Block copy_;
    const T* data_;
};

// The same elements: a copy where some may stand among the gradients [P], which the pass writes.
template <class T>
View<T> apart_from(const T* grads, Index count, View<T> given) {
    if (!given || given.size() == 0) return given;
    const T *first = given.data, *last = given.data;
    for (Index d = 0; d < given.rank(); ++d)
        (given.strides[d] < 0 ? first : last) += (given.shape[d] - 1) * given.strides[d];
    const std::less<const T*> before;
    if (!before(first, grads + count) || before(last, grads)) return given;
    return view_of_any_shape<T>(given.owner.attr("copy")(), "dy");
}

// What both passes share: the parameters, and the arrays that they fill.
template <class T>
class Pass {
public:
    Pass(const PyNetwork& self, const Tape<T>& tape, py::object params, py::object grads)
        : tape_(tape),
          params_view_(parameter_view<T>(self, params)),
          params_(parameters(self, params_view_)),
          grads_(writeable<T>(grads, "grads", {{"P", self.network.parameter_count()}})),
          initial_(tape.network, tape.sequence.batch()),
          dx_(py::none()) {
        if (tape.one_hot) return;
        auto array = new_array<T>({tape.sequence.steps(), tape.sequence.batch(), tape.network.input(0)});
        to_ = array.mutable_data();
        dx_ = std::move(array);
    }

    // without the interpreter's lock
    void run(const BackwardInput<T>& in) const {
        const Index width = tape_.network.input(0);
        BackwardOutput<T> out{grads_, to_, initial_.pointers};
        const bool spread = to_ && tape_.sequence.ragged();
        const Block rows = spread ? packed_rows<T>(tape_.sequence, width) : Block();
        if (spread) out.dx = static_cast<T*>(rows.data());
        if (tape_.checkpoints)
            tape_.checkpoints->run_backward(params_, in, out);
        else
            run_backward(tape_, params_, in, out);
        if (spread) unpack_rows(tape_.sequence, out.dx, width, to_);
    }

    View<T> apart(View<T> given) const {
        return apart_from<T>(grads_, tape_.network.parameter_count(), std::move(given));
    }
    py::object dx() const { return dx_; }
    py::tuple dstate() const { return py::tuple(initial_.arrays); }

private:
    const Tape<T>& tape_;
    View<T> params_view_;
    const T* params_;
    T* grads_;
    NewStates<T> initial_;
    py::object dx_;
    T* to_ = nullptr;
};

// Targets [T,B] -> [N], as the packed rows.
std::vector<std::int64_t> packed_targets(const Sequence& sequence, const Ids& targets) {
    std::vector<std::int64_t> rows(static_cast<std::size_t>(sequence.rows()));
    pack_rows<std::int64_t>(sequence, {targets.values.data(), sequence.batch(), 1, 1}, 1, rows.data());
    return rows;
}

}  // namespace

py::tuple backward(const PyNetwork& self, py::object params, py::object grads, py::object dy, const PyCache& cache,
                   py::object dstate) {
    return self.by_dtype([&]<class T>() {
        const Tape<T>& tape = tape_of<T>(self, cache);
        const Sequence& sequence = tape.sequence;
        const Index columns = tape.network.output();
        const Pass<T> pass(self, tape, params, grads);
        const Shape shape = {{"T", sequence.steps()}, {"B", sequence.batch()}, {"D*H", columns}};
        const View<T> given = pass.apart(view_or_none<T>(dy, "dy", shape));
        const States<T> final_gradients(self.network, sequence.batch(), dstate, "dstate");
        run_pass(sequence, [&] {
            const OutputGradientRows<T> rows(sequence, given, columns);
            pass.run({rows.data(), nullptr, final_gradients.pointers()});
        });
        return py::make_tuple(pass.dx(), pass.dstate());
    });
}

py::tuple backward_cross_entropy(const PyNetwork& self, py::object params, py::object grads, const PyCache& cache,
                                 const PyHead& head, py::object targets, double scale) {
    return self.by_dtype([&]<class T>() {
        const Tape<T>& tape = tape_of<T>(self, cache);
        const Sequence& sequence = tape.sequence;
        const Dimension hidden{"D*H", tape.network.output()};
        const Pass<T> pass(self, tape, params, grads);
        const View<T> weight = view<T>(head.weight, "weight", {{"V"}, hidden});
        const Dimension classes{"V", weight.shape[0]};
        const View<T> bias = view_or_none<T>(head.bias, "bias", {classes});
        const LinearCrossEntropyGradients<T> gradients{scale, writeable<T>(head.dweight, "dweight", {classes, hidden}),
                                                       writeable_or_none<T>(head.dbias, "dbias", {classes})};
        const Ids given = ids(targets, "targets", {{"T", sequence.steps()}, {"B", sequence.batch()}});
        given.require_below("targets", classes, head.ignored);
        auto losses = new_array<double>({sequence.rows()});
        double* const to = losses.mutable_data();
        run_pass(sequence, [&] {
            const Rows<T> weight_rows(weight);
            const Contiguous<T> bias_values(bias);
            const std::vector<std::int64_t> packed = packed_targets(sequence, given);
            CrossEntropyHead<T> source({weight_rows.matrix(),
                                        bias_values.data(),
                                        {packed.data(), head.ignored},
                                        to,
                                        sequence.rows(),
                                        gradients,
                                        head.dropout,
                                        head.seed,
                                        head.compute});
            pass.run({nullptr, &source, {}});
        });
        return py::make_tuple(losses, pass.dx(), pass.dstate());
    });
}

}  // namespace rnncore::bindings
