// The cells by name.
#include "rnn/cells/table.hpp"

#include "core/error.hpp"

namespace rnncore {
namespace {

constexpr const Cell* kCells[] = {&kRnnTanh, &kRnnRelu, &kRnnSigmoid, &kRnnIdentity, &kGruAfter, &kGruBefore, &kLstm};

}  // namespace

const Cell& find_cell(const std::string& name) {
    std::string known;
    for (const Cell* cell : kCells) {
        if (name == cell->name) return *cell;
        known += std::string(known.empty() ? "" : ", ") + cell->name;
    }
    throw Invalid("cell: expected one of " + known + ", got '" + name + "'");
}

}  // namespace rnncore
