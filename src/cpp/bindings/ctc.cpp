// Connectionist temporal classification: losses, gradients, alignments.
#include <string>

#include "bindings/arrays.hpp"
#include "bindings/interpreter.hpp"
#include "bindings/register.hpp"
#include "rnn/ctc/align.hpp"
#include "rnn/ctc/loss.hpp"

namespace rnncore::bindings {
namespace {

// Frames and labels of B sequences, checked against the rows [N,C] that hold the frames.
class CheckedProblem {
public:
    CheckedProblem(py::object frames, py::object labels, py::object counts, Index blank, const std::vector<Index>& rows)
        : frames_(ids(frames, "frames", {{"B"}})),
          counts_(ids(counts, "counts", {{"B", frames_.shape[0]}})),
          labels_(ids(labels, "labels", {{"K"}})),
          symbols_(rows[1]),
          blank_(blank) {
        require_sum(frames_, "frames", rows[0]);
        require_sum(counts_, "counts", labels_.shape[0]);
        labels_.require_below("labels", {"C", symbols_});
        if (blank < 0 || blank >= symbols_)
            throw py::value_error("blank: expected an id in [0, C=" + std::to_string(symbols_) + "), got " +
                                  std::to_string(blank));
    }

    Index batch() const { return frames_.shape[0]; }
    CtcProblem problem() const {
        return {batch(), symbols_, blank_, frames_.values.data(), counts_.values.data(), labels_.values.data()};
    }

private:
    static void require_sum(const Ids& ids, const char* name, Index expected) {
        Index rest = expected;
        for (const std::int64_t value : ids.values) {
            if (value < 0 || value > rest) {
                rest = -1;
                break;
            }
            rest -= value;
        }
        if (rest != 0)
            throw py::value_error(std::string(name) + ": expected numbers of at least 0 whose sum is " +
                                  std::to_string(expected));
    }

    Ids frames_, counts_, labels_;
    Index symbols_, blank_;
};

py::object ctc_losses(py::object z, py::object frames, py::object labels, py::object counts, Index blank) {
    return by_dtype(z, "z", [&]<class T>() -> py::object {
        const auto rows = view<T>(z, "z", {{"N"}, {"C"}});
        const CheckedProblem checked(frames, labels, counts, blank, rows.shape);
        auto losses = new_array<double>({checked.batch()});
        double* const to = losses.mutable_data();
        without_gil([&] {
            const Contiguous<T> values(rows);
            rnncore::ctc_losses(checked.problem(), values.data(), to);
        });
        return losses;
    });
}

py::object ctc_gradient(py::object z, py::object frames, py::object labels, py::object counts, Index blank,
                        double scale) {
    return by_dtype(z, "z", [&]<class T>() -> py::object {
        T* const rows = writeable<T>(z, "z", {{"N"}, {"C"}});
        const auto array = py::reinterpret_borrow<py::array>(z);
        const CheckedProblem checked(frames, labels, counts, blank, {array.shape(0), array.shape(1)});
        auto losses = new_array<double>({checked.batch()});
        double* const to = losses.mutable_data();
        without_gil([&] { rnncore::ctc_gradient(checked.problem(), scale, rows, to); });
        return losses;
    });
}

py::object ctc_align(py::object log_p, py::object frames, py::object labels, py::object counts, Index blank) {
    return by_dtype(log_p, "log_p", [&]<class T>() -> py::object {
        const auto rows = view<T>(log_p, "log_p", {{"N"}, {"C"}});
        const CheckedProblem checked(frames, labels, counts, blank, rows.shape);
        auto states = new_array<std::int64_t>({rows.shape[0]});
        auto scores = new_array<double>({checked.batch()});
        static_assert(sizeof(Index) == sizeof(std::int64_t));
        Index* const path = reinterpret_cast<Index*>(states.mutable_data());
        double* const to = scores.mutable_data();
        without_gil([&] {
            const Contiguous<T> values(rows);
            rnncore::ctc_align(checked.problem(), values.data(), path, to);
        });
        return py::make_tuple(states, scores);
    });
}

}  // namespace

void register_ctc(py::module_& module) {
    module.def("ctc_losses", ctc_losses, py::arg("z"), py::arg("frames"), py::arg("labels"), py::arg("counts"),
               py::arg("blank"));
    module.def("ctc_gradient", ctc_gradient, py::arg("z"), py::arg("frames"), py::arg("labels"), py::arg("counts"),
               py::arg("blank"), py::arg("scale") = 1.0);
    module.def("ctc_align", ctc_align, py::arg("log_p"), py::arg("frames"), py::arg("labels"), py::arg("counts"),
               py::arg("blank"));
}

}  // namespace rnncore::bindings
