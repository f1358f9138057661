"""`python -m paft_trainer.rehearsal --run-spec FILE`: prints a Rehearsal as JSON; what `paft merge --dry-run` runs."""

import argparse
import signal
import sys
from pathlib import Path

from paft_api.run_spec import RunSpec
from paft_trainer.errors import StageError
from paft_trainer.kernel_cache import keep_kernels_in


def main(arguments: list[str] | None = None) -> int:
    """0 where the merge could begin; 1 with the reason on stderr where it could not."""
    # Nothing is written, so nothing has to be ended in order.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    parser = argparse.ArgumentParser(prog="paft_trainer.rehearsal", description=__doc__)
    parser.add_argument("--run-spec", type=Path, required=True, help="JSON file with the RunSpec of a merge")
    parsed = parser.parse_args(arguments)
    run_spec = RunSpec.model_validate_json(parsed.run_spec.read_text(encoding="utf-8"))
    keep_kernels_in(Path(run_spec.cache_directory))
    from paft_trainer.rehearsal.rehearse import rehearse

    try:
        rehearsal = rehearse(run_spec, tell=lambda message: print(message, file=sys.stderr, flush=True))
    except StageError as error:
        print(f"Failed: {error.cause}: {error.message}\n  {error.remedy}", file=sys.stderr)
        return 1
    print(rehearsal.to_json())
    return 0


if __name__ == "__main__":
    sys.exit(main())
