// A network that goes on where it stopped, with weights packed once: for streaming and sampling. Nothing is allocated
// after it is made. Steps that are given together go through the network together, a layer at a time.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "core/memory.hpp"
#include "core/threads.hpp"
#include "rnn/matrix.hpp"
#include "rnn/network.hpp"
#include "rnn/stored.hpp"

namespace rnncore {

template <class T>
struct StreamOptions {
    Index batch = 1;
    Storage storage = Storage::full;
    Matrix<const T> embedding{};  // [V, I]: what ids stand for; without data they are one-hot inputs
};

template <class T>
class Stream {
public:
    // Invalid for a bidirectional network.
    Stream(const Network& network, const T* params, const StreamOptions<T>& options);
    // Goes on from the same state on its own; the packed weights are shared.
    Stream(const Stream& other);
    Stream& operator=(const Stream&) = delete;

    const Network& network() const { return network_; }
    Index batch() const { return batch_; }
    // Another number of sequences from now on, for one step at a time; what the states hold is lost.
    void set_batch(Index batch);
    Index most_steps() const { return most_steps_; }  // that one call takes

    // The next `steps` steps, at most most_steps(): x [steps,B,I] -> y [steps,B,H], null: only the state is wanted.
    void advance(const T* x, Index steps, T* y);
    void advance_ids(const std::int64_t* ids, Index steps, T* y);  // [steps,B], each within [0, I) or [0, V)

    Index state_size(Index which) const { return network_.state_size(which, batch_); }
    T* state(Index which) const { return state_[which].in(arena_); }  // [L,B,H]
    // The last layer's outputs of the last step, [B,H].
    const T* last_output() const { return state(0) + state_size(0) - batch_ * network_.output(); }
    void reset();                       // to zero
    void require_same_kernels() const;  // Invalid where another instruction set was selected since

private:
    struct Layer {
        StoredMatrix<T> input;
        std::array<StoredMatrix<T>, kMostRecurrentProducts> recurrent;  // by Cell::products
        Arena::Slot<T> bias, bias_extra;
    };
    // What no step changes.
    struct Packed {
        Arena arena;
        std::vector<Layer> layers;
        Arena::Slot<T> rows;
    };

    std::shared_ptr<const Packed> pack(const T* params, const StreamOptions<T>& options) const;
    void reserve(Packed& packed, const Matrix<const T>& embedding) const;
    void fill(const Packed& packed, const T* params, const StreamOptions<T>& options) const;
    // input: W_ih of the first layer
    void fill_rows(const Packed& packed, const Matrix<const T>& embedding, const Matrix<const T>& input) const;
    void take_working_memory();
    void multiply_input(const Layer& layer, const T* x, Index rows);  // sums = W_ih x + b
    void run_layers(Index steps, T* y);                               // the sums of the first layer are in place

    const Network network_;
    const KernelTable* table_;  // that the weights are packed for
    const StorageKernels<T>* kernels_;
    Index batch_, most_steps_;
    Index room_ = 0;  // sequences that the working memory is for
    // Ids with an embedding: its rows, or what the first layer's sums start from for each id, embedding W_ih^T + b.
    enum class IdsAre { one_hot, rows_of_embedding, rows_of_sums } ids_are_ = IdsAre::one_hot;
    std::shared_ptr<const Packed> packed_;
    Arena arena_;  // of what steps change
    Arena::Slot<T> state_[kMostStates], sums_, outputs_, extra_, embedded_;
    Arena::Slot<char> scratch_;
};

}  // namespace rnncore
