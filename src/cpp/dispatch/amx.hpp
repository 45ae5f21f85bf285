// The matrix registers of AMX, 8 KB for each thread that uses them. Linux lets a process use them after it has asked.
#pragma once

namespace rnncore {

// Asks the system for them; returns whether this processor multiplies bfloat16 matrices and the system allows it.
bool amx_is_permitted();

}  // namespace rnncore
