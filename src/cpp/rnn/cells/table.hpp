// The cells: each is defined in the file of its name.
#pragma once

#include "rnn/cells/cell.hpp"

namespace rnncore {

extern const Cell kRnnTanh, kRnnRelu, kRnnSigmoid, kRnnIdentity;
extern const Cell kGruAfter, kGruBefore;
extern const Cell kLstm;

}  // namespace rnncore
