// The oracle of the tests: every kernel again, slow and obvious, in double precision, written from the equations.
#pragma once

#include "kernels/table.hpp"

namespace rnncore::reference {
extern const KernelTable table;
}
