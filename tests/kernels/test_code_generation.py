"""Register tiles stay in registers: what the compiler made of the innermost loops of products.

Any compiler can be looked at, as here that of another processor:
CXX="clang++ --target=aarch64-linux-gnu" OBJDUMP=aarch64-linux-gnu-objdump
CMAKE_ARGS="-DCMAKE_SYSTEM_NAME=Linux -DCMAKE_SYSTEM_PROCESSOR=aarch64"
"""

import re
import sys
from pathlib import Path

import pytest

from kernel_objects import Instruction, disassemble, innermost_loops, stack_accesses

# Tiles of whole vectors: of products, of transposed products, and of streams where the panel is of
# full width. Streams in int8 and bfloat16 have more to keep than any processor has registers.
TILES = re.compile(
    r"_Z\w*(product_tileI[fd]Lb0|outer_tileI[fd]Lb0|few_rows_tileINS0_11FullStorageI[fd]EELi\dELi8E)"
)


def matches(pattern: str, loop: list[Instruction]) -> int:
    return sum(bool(re.match(pattern, text)) for _, text in loop)


@pytest.mark.skipif(sys.platform != "linux", reason="reads what GNU objdump prints")
def test_sums_of_tiles_stay_in_registers(kernel_objects: dict[str, Path]) -> None:
    """A step that is not inlined, or loads that are scheduled too early, put them on the stack."""
    faults = []
    for isa, path in kernel_objects.items():
        functions = disassemble(path)
        tiles = {name: code for name, code in functions.items() if TILES.match(name)}
        # 12 rows of a tile, instead of 6, show that there are 32 registers: with 16, a pointer or
        # two have to go to the stack
        wide = any("Lb0ELi12E" in name for name in tiles)
        assert len(tiles) >= (80 if wide else 40)
        for name, code in tiles.items():
            for loop in innermost_loops(code):
                calls = matches(r"call|blr?\s", loop)
                # clang 16 leaves three of 24 sums on the stack of ARM, a load and a store each
                allowed = matches(r"fml|vfn?m(add|sub)", loop) // 4
                accesses = stack_accesses(code, loop) if wide else 0
                if calls or accesses > allowed:
                    faults.append(f"{isa} {name}: {calls} calls, {accesses} accesses to the stack")
    assert not faults, "\n".join(faults)
