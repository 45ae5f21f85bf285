// The matrix registers of AMX, 8 KB for each thread that uses them: Linux lets a process use them when it has asked.
#pragma once

namespace rnncore {

// Whether this processor multiplies bfloat16 matrices in them and the system lets this process do so; asks for it.
bool amx_is_permitted();

}  // namespace rnncore
