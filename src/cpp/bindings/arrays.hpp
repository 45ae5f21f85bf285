// Checked access to NumPy arrays. Nothing is cast: an error names the argument, what came and what was expected, as in
//     x: expected a float32 array of shape [T, B, I=200], got float64 [35, 20, 200]
// A wrong type raises TypeError; a wrong rank, size or memory layout ValueError. All of it needs the interpreter's
// lock.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "core/memory.hpp"
#include "kernels/table.hpp"
#include "rnn/matrix.hpp"

namespace rnncore::bindings {

namespace py = pybind11;

// One dimension of an expected shape: its name and, where only one is right, its size.
struct Dimension {
    static constexpr Index kAny = -1;
    const char* name;
    Index size = kAny;
};
using Shape = std::vector<Dimension>;

// "[T=35, B=20, I]"
std::string text_of(const Shape& shape);

// "float64 [35, 20, 200]", or the name of the type of anything that is no array.
std::string describe(py::handle value);

// The same checks for every element type; the templates below add pointers of the right type.
py::array checked_array(py::handle value, const char* name, const py::dtype& dtype, const Shape& shape);
void require_in_place(const py::array& array, const char* name);  // C-contiguous, aligned and writeable

// The classes below may own the memory that their pointers lead to, if a call's array had to be copied. Taking a
// pointer from a temporary, or referring to one, therefore does not compile.

// An array of any strides, read only; it lives as long as the view.
template <class T>
class View {
public:
    View() = default;
    explicit View(py::array array);  // of elements T

    const T* data() const& { return data_; }
    const T* data() const&& = delete;
    explicit operator bool() const { return data_ != nullptr; }
    Index rank() const { return static_cast<Index>(shape.size()); }
    Index size() const;
    bool contiguous() const;

    py::object owner;                   // an array; a py::array would make an empty one first
    std::vector<Index> shape, strides;  // strides in elements

private:
    const T* data_ = nullptr;
};

template <class T>
View<T> view(py::handle value, const char* name, const Shape& shape);

template <class T>
View<T> view_of_any_shape(py::handle value, const char* name);

// None gives an empty view.
template <class T>
View<T> view_or_none(py::handle value, const char* name, const Shape& shape);

// The elements of an array that the call writes to.
template <class T>
T* writeable(const py::object& value, const char* name, const Shape& shape);

template <class T>
T* writeable(const py::object&& value, const char* name, const Shape& shape) = delete;

template <class T>
T* writeable_or_none(const py::object& value, const char* name, const Shape& shape);

template <class T>
T* writeable_or_none(const py::object&& value, const char* name, const Shape& shape) = delete;

// Integers of any width and strides, copied.
struct Ids {
    std::vector<std::int64_t> values;
    std::vector<Index> shape;

    // ValueError, saying where, for a value outside [0, count) that is not `ignored`; `count_name` as in [0, V=65).
    void require_below(const char* name, Dimension count) const;
    void require_below(const char* name, Dimension count, std::int64_t ignored) const;
};
Ids ids(py::handle value, const char* name, const Shape& shape);

// Whether an array holds integers (ids) and not numbers.
bool holds_integers(py::handle value);

// A new array, uninitialised; large ones take their memory from Block and so reuse what earlier calls gave back.
template <class T>
py::array_t<T> new_array(const std::vector<Index>& shape);

// An array of memory that belongs to a block.
template <class T>
py::array_t<T> array_in(Block block, T* data, const std::vector<Index>& shape);

// Copies the elements of an array of at least one dimension, at any strides, to contiguous memory. It may be
// interrupted, as the passes may.
template <class T>
void gather(const View<T>& from, T* to);

// Contiguous elements: the view's own memory where it is contiguous, otherwise a copy. An empty view gives null.
template <class T>
class Contiguous {
public:
    explicit Contiguous(const View<T>& view);
    explicit Contiguous(const View<T>&& view) = delete;
    const T* data() const& { return data_; }
    const T* data() const&& = delete;

private:
    Block copy_;
    const T* data_;
};

// A matrix with contiguous rows: the view's own memory where that is so, otherwise a copy.
template <class T>
class Rows {
public:
    explicit Rows(const View<T>& view);
    explicit Rows(const View<T>&& view) = delete;
    const Matrix<const T>& matrix() const& { return matrix_; }
    const Matrix<const T>& matrix() const&& = delete;

private:
    Block copy_;
    Matrix<const T> matrix_;
};

[[noreturn]] void throw_no_float(py::handle value, const char* name);

// Calls work.template operator()<float>() or <double>(), by the type of the array.
template <class Work>
auto by_dtype(py::handle array, const char* name, Work&& work) {
    if (py::isinstance<py::array_t<float>>(array)) return work.template operator()<float>();
    if (py::isinstance<py::array_t<double>>(array)) return work.template operator()<double>();
    throw_no_float(array, name);
}

}  // namespace rnncore::bindings
