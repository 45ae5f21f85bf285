// The best of many scores: of each row, and of all continuations of each sentence.
#pragma once

#include <cstdint>
#include <vector>

#include "rnn/draw.hpp"
#include "rnn/matrix.hpp"

namespace rnncore {

// The k greatest numbers that it has seen, of equal ones those with the smaller ids: whatever their order was.
template <class T>
class Greatest {
public:
    struct Item {
        T value;
        std::int64_t id;
    };
    static bool precedes(const Item& a, const Item& b) { return a.value != b.value ? a.value > b.value : a.id < b.id; }

    explicit Greatest(Index k) : k_(static_cast<std::size_t>(k)) { heap_.reserve(k_); }

    void see(const T* values, Index count, std::int64_t first_id);
    void see(const Greatest& other);
    const std::vector<Item>& sorted();  // the greatest first; it sees no more

private:
    void take(const Item& item);

    std::size_t k_;
    std::vector<Item> heap_;  // the smallest in front
};

// values, ids [N,k] of the rows of x [N,V]
template <class T>
void top_of_rows(const Matrix<const T>& x, Index k, T* values, std::int64_t* ids);

// ids[n] is drawn from softmax(x[n]) by the random number `counter` of seed n.
template <class T>
void draw_rows(const Matrix<const T>& x, const DrawOptions& options, const std::int64_t* seeds, std::uint64_t counter,
               std::int64_t* ids);

// What may follow N rows of several sentences, and how many of these each sentence takes.
template <class T>
struct Continuations {
    Matrix<const T> values;         // [N,k] log-probabilities; minus infinity is never taken
    const double* totals;           // [N] of each row so far
    const std::int64_t* sentences;  // [N] ascending
    const std::int64_t* free;       // by sentence
};

struct Continuation {
    Index row, column;
    double total;
};

// The best of each sentence in turn, the best first; of equal ones the first, by row and column.
template <class T>
std::vector<Continuation> best_continuations(const Continuations<T>& s);

}  // namespace rnncore
