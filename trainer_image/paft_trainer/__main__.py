"""`python -m paft_trainer STAGE --run-spec FILE`."""

import argparse
import sys
from pathlib import Path

from paft_api.stages import StageName
from paft_trainer.launching.launcher import launch


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line and run the stage."""
    parser = argparse.ArgumentParser(prog="paft_trainer", description="Runs one attempt of one stage of a PaftJob.")
    parser.add_argument("stage", choices=[stage.value for stage in StageName])
    parser.add_argument("--run-spec", type=Path, required=True, help="JSON file with the resolved RunSpec")
    parsed = parser.parse_args(arguments)
    return launch(StageName(parsed.stage), parsed.run_spec)


if __name__ == "__main__":
    sys.exit(main())
