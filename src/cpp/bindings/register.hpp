// What each file of this directory adds to the module.
#pragma once

#include <pybind11/pybind11.h>

namespace rnncore::bindings {

void register_processor(pybind11::module_& module);
void register_network(pybind11::module_& module);
void register_stream(pybind11::module_& module);
void register_sampler(pybind11::module_& module);
void register_decode(pybind11::module_& module);
void register_layers(pybind11::module_& module);
void register_attention(pybind11::module_& module);
void register_attention_rnn(pybind11::module_& module);
void register_losses(pybind11::module_& module);
void register_ctc(pybind11::module_& module);
void register_loss_head(pybind11::module_& module);
void register_optimisers(pybind11::module_& module);
void register_ctc_search(pybind11::module_& module);
void register_kernels(pybind11::module_& module);

}  // namespace rnncore::bindings
