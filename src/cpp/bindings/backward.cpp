// Network's passes backward, from a gradient of the outputs or from the loss itself.
#include "rnn/backward.hpp"

#include <functional>

#include "bindings/arrays.hpp"
#include "bindings/interpreter.hpp"
#include "bindings/loss_head.hpp"
#include "bindings/network.hpp"
#include "rnn/checkpoints.hpp"

namespace rnncore::bindings {
namespace {

template <class T>
const Tape<T>& tape_of(const PyNetwork& self, const PyCache& cache) {
    const auto* pointer = std::get_if<TapePointer<T>>(&cache.tape);
    if (!pointer || (*pointer)->network.parameter_count() != self.network.parameter_count() ||
        &(*pointer)->network.cell() != &self.network.cell())
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
    OutputGradientRows(const Sequence& sequence, const View<T>& dy, Index columns) : data_(dy.data()) {
        if (!dy || (dy.contiguous() && !sequence.ragged())) return;
        copy_ = packed_rows<T>(sequence, columns);
        T* to = static_cast<T*>(copy_.data());
        pack_rows<T>(sequence, {dy.data(), dy.strides[0], dy.strides[1], dy.strides[2]}, columns, to);
        data_ = to;
    }
    OutputGradientRows(const Sequence& sequence, const View<T>&& dy, Index columns) = delete;
    const T* data() const& { return data_; }
    const T* data() const&& = delete;

private:
    Block copy_;
    const T* data_;
};

// The same elements: a copy where some may stand among the gradients [P], which the pass writes.
template <class T>
View<T> apart_from(const T* grads, Index count, View<T> given) {
    if (!given || given.size() == 0) return given;
    const T *first = given.data(), *last = given.data();
    for (Index d = 0; d < given.rank(); ++d)
        (given.strides[d] < 0 ? first : last) += (given.shape[d] - 1) * given.strides[d];
    const std::less<const T*> before;
    if (!before(first, grads + count) || before(last, grads)) return given;
    auto copy = new_array<T>(given.shape);
    gather(given, copy.mutable_data());
    return View<T>(std::move(copy));
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

// What makes dy: the caller's array.
template <class T>
class GivenGradient {
public:
    GivenGradient(const Tape<T>& tape, const Pass<T>& pass, const py::object& dy)
        : tape_(tape),
          view_(pass.apart(view_or_none<T>(
              dy, "dy",
              {{"T", tape.sequence.steps()}, {"B", tape.sequence.batch()}, {"D*H", tape.network.output()}}))) {}

    template <class Run>
    void make(const Run& run) const {
        const OutputGradientRows<T> rows(tape_.sequence, view_, tape_.network.output());
        run(rows.data(), nullptr);
    }
    py::object losses() const { return py::none(); }

private:
    const Tape<T>& tape_;
    View<T> view_;
};

// What makes dy: an output layer with its loss.
template <class T>
class LossGradient {
public:
    LossGradient(const Tape<T>& tape, const PyLossHead& given)
        : tape_(tape),
          given_(given),
          head_(given, {"D*H", tape.network.output()}),
          targets_(given.targets, {{"T", tape.sequence.steps()}, {"B", tape.sequence.batch()}}, head_.outputs()),
          losses_(new_array<double>({tape.sequence.rows()})),
          to_(losses_.mutable_data()) {
        if (!head_.gradients().dweight) throw py::value_error("dweight: expected an array, got None");
    }

    template <class Run>
    void make(const Run& run) {
        head_.copy();
        LossHead<T> source({head_.weight(), head_.bias(), targets_.packed(tape_.sequence), to_, tape_.sequence.rows(),
                            head_.gradients(), given_.dropout, given_.seed,
                            given_.compute ? Compute::bfloat16 : Compute::full});
        run(nullptr, &source);
    }
    py::object losses() const { return losses_; }

private:
    const Tape<T>& tape_;
    const PyLossHead& given_;
    CheckedHead<T> head_;
    CheckedTargets<T> targets_;
    py::array_t<double> losses_;
    double* to_;
};

}  // namespace

py::tuple backward(const PyNetwork& self, py::object params, py::object grads, py::object dy, const PyCache& cache,
                   py::object dstate) {
    return self.by_dtype([&]<class T>() {
        const Tape<T>& tape = tape_of<T>(self, cache);
        const Pass<T> pass(self, tape, params, grads);
        const auto sweep = [&](auto&& gradient) {
            const States<T> final_gradients(self.network, tape.sequence.batch(), dstate, "dstate");
            run_pass(tape.sequence, [&] {
                gradient.make([&](const T* rows, OutputGradient<T>* source) {
                    pass.run({rows, source, final_gradients.pointers()});
                });
            });
            return py::make_tuple(pass.dx(), pass.dstate(), gradient.losses());
        };
        if (py::isinstance<PyLossHead>(dy)) return sweep(LossGradient<T>(tape, dy.cast<const PyLossHead&>()));
        return sweep(GivenGradient<T>(tape, pass, dy));
    });
}

}  // namespace rnncore::bindings
