// Flat buffers: optimiser steps, norms, clipping, dropout. Threads take blocks of fixed borders.
#pragma once

#include <cstdint>

#include "kernels/table.hpp"

namespace rnncore {

// One of the kernels sgd, rmsprop and adam over all parameters.
template <class T>
void optimiser_step(void (*step)(const Update<T>&), const Update<T>& update);

// The sum of squares; the same bits for any number of threads.
template <class T>
double squared_norm(const T* x, Index n);

template <class T>
void clip(T limit, Index n, T* x);

template <class T>
void scale(T factor, Index n, T* x);

template <class T>
void dropout(const Dropout<T>& d);

}  // namespace rnncore
