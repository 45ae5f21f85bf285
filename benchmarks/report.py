"""All tables: `python benchmarks/report.py [layers] [sampling] [memory] [--rounds N]`."""

import argparse
import platform
import sys

import bench_layers
import bench_memory
import bench_sampling
import rnncore as rc
from measure import peak_gflops, torch_on_one_thread

REPORTS = ("layers", "sampling", "memory")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tables", nargs="*", metavar="table", help=f"of {', '.join(REPORTS)}")
    parser.add_argument("--rounds", type=int, default=15, help="interleaved rounds (default 15)")
    arguments = parser.parse_args()
    unknown = set(arguments.tables) - set(REPORTS)
    if unknown:
        parser.error(f"unknown table {sorted(unknown)}; expected {', '.join(REPORTS)}")
    chosen = arguments.tables or REPORTS

    torch = torch_on_one_thread()
    rc.set_num_threads(1)
    print(f"rnncore {rc.__version__}, {rc.isa()}; {platform.machine()}, {sys.platform}")
    print(
        f"torch {torch.__version__}" if torch else "torch is not installed: its columns are empty"
    )
    print(f"peak {peak_gflops():.1f} GFLOP/s: product of 512 x 512 float32, one thread, best of 30")
    if "layers" in chosen:
        bench_layers.report(arguments.rounds)
    if "sampling" in chosen:
        bench_sampling.report(arguments.rounds)
    if "memory" in chosen:
        bench_memory.report()


if __name__ == "__main__":
    main()
