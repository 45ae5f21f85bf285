// Output layers with their losses: in a sweep backward (see backward.cpp), and over rows that are given.
#include "bindings/loss_head.hpp"

#include <algorithm>

#include "bindings/interpreter.hpp"
#include "bindings/register.hpp"

namespace rnncore::bindings {
namespace {

struct Named {
    const char* name;
    LossKind kind;
};
constexpr Named kLosses[] = {
    {"softmax", LossKind::softmax}, {"squared_error", LossKind::squared_error}, {"binary", LossKind::binary}};

Shape with(Shape shape, Dimension last) {
    shape.push_back(last);
    return shape;
}

Block copied(std::size_t elements, std::size_t element_size) { return Block(checked_product(elements, element_size)); }

// The losses [N] of rows x [N,H]; with `backward` also dx [N,H], which adds to the head's gradients.
template <bool backward>
py::object over_rows(const PyLossHead& given, py::object x) {
    return by_dtype(x, "x", [&]<class T>() -> py::object {
        const View<T> from = view<T>(x, "x", {{"N"}, {"H"}});
        const Index n = from.shape[0], hidden = from.shape[1];
        const Kernels<T>& k = kernels_named<T>(given.compute, n);
        CheckedHead<T> head(given, {"H", hidden});
        CheckedTargets<T> targets(given.targets, {{"N", n}}, head.outputs());
        auto losses = new_array<double>({n});
        double* const to = losses.mutable_data();
        std::optional<py::array_t<T>> dx;
        if (backward) dx = new_array<T>({n, hidden});
        T* const gradient = dx ? dx->mutable_data() : nullptr;
        without_gil([&] {
            head.copy();
            const Rows<T> rows(from);
            const LinearLoss<T> s{rows.matrix(), head.weight(), head.bias(), targets.in_order(), to};
            if constexpr (backward)
                linear_losses_backward<T>(k, s, head.gradients(), {gradient, n, hidden, hidden});
            else
                linear_losses<T>(k, s);
        });
        if (backward) return py::make_tuple(losses, *dx);
        return losses;
    });
}

}  // namespace

LossKind loss_named(const std::string& name) {
    for (const Named& loss : kLosses)
        if (name == loss.name) return loss.kind;
    throw py::value_error("loss: expected 'softmax', 'squared_error' or 'binary', got '" + name + "'");
}

template <class T>
CheckedTargets<T>::CheckedTargets(const PyTargets& given, const Shape& rows, Index width)
    : kind_(given.kind), width_(width), ignored_(given.ignored), smoothing_(given.smoothing) {
    if (kind_ == LossKind::softmax) {
        Ids classes = ids(given.values, "targets", rows);
        classes.require_below("targets", {"V", width}, ignored_);
        classes_ = std::move(classes.values);
    } else {
        values_ = view<T>(given.values, "targets", with(rows, {"V", width}));
    }
    weights_ = view_or_none<T>(given.weights, "weights", rows);
}

template <class T>
RowTargets<T> CheckedTargets<T>::rows() const {
    return {kind_,
            {classes_.data(), ignored_},
            static_cast<const T*>(values_copy_.data()),
            static_cast<const T*>(weights_copy_.data()),
            width_,
            smoothing_};
}

template <class T>
RowTargets<T> CheckedTargets<T>::in_order() {
    const auto copy = [](const View<T>& from, Block& to) {
        if (!from) return;
        to = copied(static_cast<std::size_t>(from.size()), sizeof(T));
        gather(from, static_cast<T*>(to.data()));
    };
    copy(values_, values_copy_);
    copy(weights_, weights_copy_);
    return rows();
}

template <class T>
RowTargets<T> CheckedTargets<T>::packed(const Sequence& sequence) {
    const auto n = static_cast<std::size_t>(sequence.rows());
    if (kind_ == LossKind::softmax) {
        std::vector<std::int64_t> to(n);
        pack_rows<std::int64_t>(sequence, {classes_.data(), sequence.batch(), 1, 1}, 1, to.data());
        classes_ = std::move(to);
    }
    const auto pack = [&](const View<T>& from, Index width, Block& to) {
        if (!from) return;
        to = copied(checked_product(n, static_cast<std::size_t>(width)), sizeof(T));
        const Index column = from.rank() == 3 ? from.strides[2] : 1;
        pack_rows<T>(sequence, {from.data(), from.strides[0], from.strides[1], column}, width,
                     static_cast<T*>(to.data()));
    };
    pack(values_, width_, values_copy_);
    pack(weights_, 1, weights_copy_);
    return rows();
}

template <class T>
CheckedHead<T>::CheckedHead(const PyLossHead& given, Dimension hidden)
    : weight_(view<T>(given.weight, "weight", {{"V"}, hidden})),
      bias_(view_or_none<T>(given.bias, "bias", {{"V", weight_.shape[0]}})),
      gradients_{given.scale, writeable_or_none<T>(given.dweight, "dweight", {{"V", weight_.shape[0]}, hidden}),
                 writeable_or_none<T>(given.dbias, "dbias", {{"V", weight_.shape[0]}})} {}

template <class T>
void CheckedHead<T>::copy() {
    rows_.emplace(weight_);
    values_.emplace(bias_);
}

template class CheckedTargets<float>;
template class CheckedTargets<double>;
template class CheckedHead<float>;
template class CheckedHead<double>;

void register_loss_head(py::module_& module) {
    py::class_<PyLossHead>(module, "LossHead")
        .def(py::init([](const std::string& loss, py::object weight, py::object bias, py::object dweight,
                         py::object dbias, py::object targets, py::object weights, std::int64_t ignored, double scale,
                         double dropout, std::uint64_t seed, const ComputeName& compute, double smoothing) {
                 compute_named(compute, true);  // its name; that of the element type is checked with the arrays
                 return PyLossHead{
                     weight, bias,    dweight, dbias,  {loss_named(loss), targets, weights, ignored, smoothing},
                     scale,  dropout, seed,    compute};
             }),
             py::arg("loss"), py::arg("weight"), py::arg("bias"), py::arg("dweight"), py::arg("dbias"),
             py::arg("targets"), py::arg("weights") = py::none(), py::arg("ignore_index") = -100,
             py::arg("scale") = 1.0, py::arg("dropout") = 0.0, py::arg("seed") = 0, py::arg("compute") = py::none(),
             py::arg("label_smoothing") = 0.0);
    module.def("linear_losses", over_rows<false>, py::arg("head"), py::arg("x"));
    module.def("linear_losses_backward", over_rows<true>, py::arg("head"), py::arg("x"));
}

}  // namespace rnncore::bindings
