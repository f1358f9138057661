"""How far the estimate of memory is from what arms take on CPU.

    python benchmarks/estimate.py [--quick] [--json FILE]

Every arm is trained by the product's own code under ZeRO-3, in one or two processes that have everything imported, and
the growth of the resident set of the process that grew most is put beside `paft_cli.estimates`. Twice: with a C library
that gives freed buffers back, which is what the formulas count, and as it runs, where the library keeps some. Memory
does not depend on what else the machine does; time is not measured. `--quick` takes the first arm only.
"""

import sys

# So that it runs as a file, too; its neighbour would then be found in place of the standard library's `operator`.
sys.path.insert(0, sys.path.pop(0).removesuffix("/benchmarks"))

import argparse
import os
import tempfile
from pathlib import Path

# DeepSpeed looks for an accelerator when it is imported, and warns where there is none.
os.environ["DS_ACCELERATOR"] = "cpu"

from benchmarks.estimate_load.measuring import Compared, compare
from benchmarks.estimate_load.results import error_table, measurements
from benchmarks.estimate_load.settings import CONFIGURATIONS
from benchmarks.measurements import open_console, tell_goals


def main() -> int:
    """Measure, print the table, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="the first arm only")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure and goal to FILE")
    arguments = parser.parse_args()
    compared: list[Compared] = []
    with tempfile.TemporaryDirectory() as folder:
        for configuration in CONFIGURATIONS[:1] if arguments.quick else CONFIGURATIONS:
            print(configuration.name, flush=True)
            compared.append(compare(configuration, Path(folder) / "bases", Path(folder) / configuration.name))
    open_console().print(error_table(compared))
    tell_goals(measurements(compared), arguments.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
