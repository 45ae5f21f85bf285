#include "bindings/arrays.hpp"

#include <algorithm>
#include <functional>
#include <memory>
#include <numeric>
#include <optional>

#include "bindings/interpreter.hpp"
#include "core/error.hpp"
#include "rnn/blocks.hpp"

namespace rnncore::bindings {
namespace {

// Arrays of at least this size keep their memory for the next call: the system would zero fresh pages every time.
constexpr std::size_t kLargeArray = std::size_t{64} << 10;

std::string list(const std::vector<std::string>& parts) {
    std::string text;
    for (const std::string& part : parts) text += (text.empty() ? "" : ", ") + part;
    return "[" + text + "]";
}

std::string sizes(const std::vector<Index>& shape) {
    std::vector<std::string> parts;
    for (const Index size : shape) parts.push_back(std::to_string(size));
    return list(parts);
}

std::string text_of(const Dimension& dimension) {
    const std::string name = dimension.name;
    return dimension.size == Dimension::kAny ? name : name + "=" + std::to_string(dimension.size);
}

std::string mismatch(py::handle value, const char* name, const std::string& type, const Shape& shape) {
    return std::string(name) + ": expected " + type + " array of shape " + text_of(shape) + ", got " + describe(value);
}

bool fits(const py::array& array, const Shape& shape) {
    if (array.ndim() != static_cast<Index>(shape.size())) return false;
    for (std::size_t i = 0; i < shape.size(); ++i) {
        if (shape[i].size != Dimension::kAny && shape[i].size != array.shape(static_cast<Index>(i))) return false;
    }
    return true;
}

std::vector<Index> shape_of(const py::array& array) { return {array.shape(), array.shape() + array.ndim()}; }

bool aligned(const py::array& array) { return array.flags() & py::detail::npy_api::NPY_ARRAY_ALIGNED_; }

// Element i, counted in row-major order, as an index in brackets.
std::string position(std::size_t i, const std::vector<Index>& shape) {
    std::vector<std::string> parts(shape.size());
    for (std::size_t d = shape.size(); d-- > 0;) {
        const auto size = static_cast<std::size_t>(shape[d]);
        parts[d] = std::to_string(i % size);
        i /= size;
    }
    return list(parts);
}

void require_in_range(const Ids& ids, const char* name, Dimension count, std::optional<std::int64_t> ignored) {
    const auto outside = [&](std::int64_t id) { return (id < 0 || id >= count.size) && id != ignored; };
    const auto found = std::find_if(ids.values.begin(), ids.values.end(), outside);
    if (found == ids.values.end()) return;
    const auto where = position(static_cast<std::size_t>(found - ids.values.begin()), ids.shape);
    const std::string but = ignored ? " or " + std::to_string(*ignored) + " (ignored)" : "";
    throw py::value_error(std::string(name) + ": expected ids in [0, " + text_of(count) + ")" + but + ", got " +
                          std::to_string(*found) + " at " + where);
}

// Arrays whose layout a kernel can read; others are copied. NumPy's own function makes the copies, because the array's
// method may be that of a subclass and return anything.
constexpr int kPlain = int{py::array::c_style} | int{py::detail::npy_api::NPY_ARRAY_ALIGNED_};

}  // namespace

std::string text_of(const Shape& shape) {
    std::vector<std::string> parts;
    for (const Dimension& dimension : shape) parts.push_back(text_of(dimension));
    return list(parts);
}

std::string describe(py::handle value) {
    if (!py::isinstance<py::array>(value)) return value.is_none() ? "None" : Py_TYPE(value.ptr())->tp_name;
    const auto array = py::reinterpret_borrow<py::array>(value);
    return py::str(array.dtype()).cast<std::string>() + " " + sizes(shape_of(array));
}

py::array checked_array(py::handle value, const char* name, const py::dtype& dtype, const Shape& shape) {
    const auto type = [&] { return py::str(dtype).cast<std::string>(); };
    const auto message = [&] { return mismatch(value, name, "a " + type(), shape); };
    if (!py::isinstance<py::array>(value)) throw py::type_error(message());
    auto array = py::reinterpret_borrow<py::array>(value);
    if (!array.dtype().is(dtype) && !array.dtype().equal(dtype))
        throw py::type_error(message() + "; " + name + ".astype(np." + type() + ") converts it");
    if (!fits(array, shape)) throw py::value_error(message());
    return array;
}

void require_in_place(const py::array& array, const char* name) {
    const char* missing = !array.writeable()                      ? "a writeable"
                          : !(array.flags() & py::array::c_style) ? "a C-contiguous"
                          : !aligned(array)                       ? "an aligned"
                                                                  : nullptr;
    if (missing) throw py::value_error(std::string(name) + ": expected " + missing + " array, got one that is not");
}

template <class T>
View<T>::View(py::array array) {
    const Index bytes = static_cast<Index>(sizeof(T));
    const auto whole = [&](Index stride) { return stride % bytes == 0; };
    // The strides of fields of records need not be multiples of their size.
    if (!aligned(array) || !std::all_of(array.strides(), array.strides() + array.ndim(), whole))
        array = py::array_t<T, kPlain>(array);
    data_ = static_cast<const T*>(array.data());
    shape = shape_of(array);
    for (Index i = 0; i < array.ndim(); ++i) strides.push_back(array.strides(i) / bytes);
    owner = std::move(array);
}

// Of the shape as it was checked: the owner's may be set by another thread while the call has released the lock.
template <class T>
Index View<T>::size() const {
    return std::accumulate(shape.begin(), shape.end(), Index{1}, std::multiplies<Index>());
}

template <class T>
bool View<T>::contiguous() const {
    if (size() == 0) return true;
    Index expected = 1;
    for (Index d = rank(); d-- > 0;) {
        if (shape[d] != 1 && strides[d] != expected) return false;
        expected *= shape[d];
    }
    return true;
}

template <class T>
View<T> view(py::handle value, const char* name, const Shape& shape) {
    return View<T>(checked_array(value, name, py::dtype::of<T>(), shape));
}

template <class T>
View<T> view_of_any_shape(py::handle value, const char* name) {
    if (!py::isinstance<py::array_t<T>>(value)) throw_no_float(value, name);
    return View<T>(py::reinterpret_borrow<py::array>(value));
}

template <class T>
View<T> view_or_none(py::handle value, const char* name, const Shape& shape) {
    return value.is_none() ? View<T>{} : view<T>(value, name, shape);
}

template <class T>
T* writeable(const py::object& value, const char* name, const Shape& shape) {
    py::array array = checked_array(value, name, py::dtype::of<T>(), shape);
    require_in_place(array, name);
    return static_cast<T*>(array.mutable_data());
}

template <class T>
T* writeable_or_none(const py::object& value, const char* name, const Shape& shape) {
    return value.is_none() ? nullptr : writeable<T>(value, name, shape);
}

bool holds_integers(py::handle value) {
    if (!py::isinstance<py::array>(value)) return false;
    const char kind = py::reinterpret_borrow<py::array>(value).dtype().kind();
    return kind == 'i' || kind == 'u';
}

Ids ids(py::handle value, const char* name, const Shape& shape) {
    if (!holds_integers(value)) throw py::type_error(mismatch(value, name, "an integer", shape));
    const auto array = py::reinterpret_borrow<py::array>(value);
    if (!fits(array, shape)) throw py::value_error(mismatch(value, name, "an integer", shape));
    // one copy of the right type and order, and the result
    const auto require = [&] {
        require_memory(checked_product(static_cast<std::size_t>(array.size()), 2 * sizeof(std::int64_t)));
    };
    naming([&] { return std::string(name) + " as int64"; }, require);
    const auto wide = py::array_t<std::int64_t, kPlain | py::array::forcecast>::ensure(array);
    if (!wide)
        throw OutOfMemory(std::string(name) + ": needs memory for " + std::to_string(array.size()) +
                          " ids, which the system refused");
    Ids result{{wide.data(), wide.data() + wide.size()}, shape_of(array)};
    const auto negative = [](std::int64_t id) { return id < 0; };
    if (array.dtype().kind() == 'u' && std::any_of(result.values.begin(), result.values.end(), negative))
        throw py::value_error(std::string(name) + ": expected integers below 2^63, got a larger one");
    return result;
}

void Ids::require_below(const char* name, Dimension count) const { require_in_range(*this, name, count, {}); }

void Ids::require_below(const char* name, Dimension count, std::int64_t ignored) const {
    require_in_range(*this, name, count, ignored);
}

template <class T>
py::array_t<T> new_array(const std::vector<Index>& shape) {
    const auto take = [&] {
        std::size_t bytes = sizeof(T);
        for (const Index size : shape) bytes = checked_product(bytes, static_cast<std::size_t>(size));
        return bytes < kLargeArray ? Block() : Block(bytes);
    };
    Block block = naming([&] { return "an array of " + sizes(shape); }, take);
    if (!block.data()) return py::array_t<T>(shape);
    T* data = static_cast<T*>(block.data());
    return array_in(std::move(block), data, shape);
}

template <class T>
py::array_t<T> array_in(Block block, T* data, const std::vector<Index>& shape) {
    auto owner = std::make_unique<Block>(std::move(block));
    const py::capsule capsule(owner.get(), [](void* p) { delete static_cast<Block*>(p); });
    owner.release();
    return py::array_t<T>(shape, data, capsule);
}

template <class T>
void gather(const View<T>& from, T* to) {
    const Index last = from.rank() - 1, columns = from.shape[last], stride = from.strides[last];
    // If one size is 0, the others may be huge.
    const Index rows = columns == 0 ? 0 : from.size() / columns;
    for_row_blocks(rows, columns, [&](Index first, Index end) {
        for (Index row = first; row < end; ++row) {
            const T* source = from.data();
            for (Index d = last, rest = row; d-- > 0; rest /= from.shape[d])
                source += rest % from.shape[d] * from.strides[d];
            for (Index i = 0; i < columns; ++i) to[row * columns + i] = source[i * stride];
        }
    });
}

namespace {

template <class T>
Block contiguous_copy(const View<T>& view) {
    const auto take = [&] { return Block(checked_product(static_cast<std::size_t>(view.size()), sizeof(T))); };
    Block copy = naming([&] { return "a contiguous copy of " + sizes(view.shape); }, take);
    gather(view, static_cast<T*>(copy.data()));
    return copy;
}

}  // namespace

template <class T>
Contiguous<T>::Contiguous(const View<T>& view) : data_(view.data()) {
    if (!view || view.contiguous()) return;
    copy_ = contiguous_copy(view);
    data_ = static_cast<const T*>(copy_.data());
}

template <class T>
Rows<T>::Rows(const View<T>& view) : matrix_{view.data(), view.shape[0], view.shape[1], view.strides[0]} {
    if (matrix_.columns <= 1 || matrix_.rows == 0 || view.strides[1] == 1) return;
    copy_ = contiguous_copy(view);
    matrix_.data = static_cast<const T*>(copy_.data());
    matrix_.stride = matrix_.columns;
}

#define RNNCORE_INSTANTIATE(T)                                                   \
    template class View<T>;                                                      \
    template View<T> view(py::handle, const char*, const Shape&);                \
    template View<T> view_of_any_shape(py::handle, const char*);                 \
    template View<T> view_or_none(py::handle, const char*, const Shape&);        \
    template T* writeable(const py::object&, const char*, const Shape&);         \
    template T* writeable_or_none(const py::object&, const char*, const Shape&); \
    template py::array_t<T> new_array(const std::vector<Index>&);                \
    template py::array_t<T> array_in(Block, T*, const std::vector<Index>&);      \
    template void gather(const View<T>&, T*);                                    \
    template class Contiguous<T>;                                                \
    template class Rows<T>;

RNNCORE_INSTANTIATE(float)
RNNCORE_INSTANTIATE(double)
#undef RNNCORE_INSTANTIATE
template py::array_t<std::int64_t> new_array(const std::vector<Index>&);

void throw_no_float(py::handle value, const char* name) {
    throw py::type_error(std::string(name) + ": expected a float32 or float64 array, got " + describe(value));
}

}  // namespace rnncore::bindings
