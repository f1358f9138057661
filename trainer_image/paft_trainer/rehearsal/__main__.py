"""`python -m paft_trainer.rehearsal --run-spec FILE`: prints what a dry run found as JSON.

Of a merge a Rehearsal, for `paft merge --dry-run`; of prepare a RehearsedPreparation, for `paft validate --deep`.
"""

import argparse
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from paft_api.rehearsal import Rehearsal, RehearsedPreparation
from paft_api.run_spec import RunSpec
from paft_trainer.errors import StageError
from paft_trainer.kernel_cache import keep_kernels_in
from paft_trainer.no_accelerator import use_no_accelerator


def main(arguments: list[str] | None = None) -> int:
    """0 where the stage could be tried; 1 with the reason on stderr where it could not."""
    # Nothing is written, so nothing has to be ended in order.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    parser = argparse.ArgumentParser(prog="paft_trainer.rehearsal", description=__doc__)
    parser.add_argument(
        "--run-spec", type=Path, required=True, help="JSON file with the RunSpec of a merge or of prepare"
    )
    parsed = parser.parse_args(arguments)
    run_spec = RunSpec.model_validate_json(parsed.run_spec.read_text(encoding="utf-8"))
    try:
        found = _found(run_spec, tell=lambda message: print(message, file=sys.stderr, flush=True))
    except StageError as error:
        print(f"Failed: {error.cause}: {error.message}\n  {error.remedy}", file=sys.stderr)
        return 1
    print(found.to_json())
    return 0


def _found(run_spec: RunSpec, *, tell: Callable[[str], None]) -> Rehearsal | RehearsedPreparation:
    """Imported late, as either takes seconds that the other does without."""
    if run_spec.prepare is not None:
        use_no_accelerator()
        from paft_trainer.rehearsal.preparation import rehearse_preparation

        return rehearse_preparation(run_spec, tell=tell)
    keep_kernels_in(Path(run_spec.cache_directory))
    from paft_trainer.rehearsal.rehearse import rehearse

    return rehearse(run_spec, tell=tell)


if __name__ == "__main__":
    sys.exit(main())
