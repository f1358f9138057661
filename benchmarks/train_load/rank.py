"""`python -m benchmarks.train_load.rank PROGRAM RUN_SPEC TIMELINE STARTED`: one rank of a training that is measured."""

import sys
import time
from pathlib import Path

import torch
from benchmarks.train_load.peers import train_bare, train_with_trl
from benchmarks.train_load.product import train_product
from benchmarks.train_load.programs import Program
from benchmarks.train_load.recording import Recording

from paft_api.run_spec import RunSpec
from paft_trainer.training.rank import arm_run, join_world, quiet_libraries


def main(program: Program, run_spec: RunSpec, recording: Recording) -> None:
    """Train as `program` does."""
    quiet_libraries()
    partitioned = join_world(arm_run(run_spec))
    match program:
        case Program.OURS | Program.ONLINE:
            train_product(run_spec, recording, partitioned=partitioned, online=program is Program.ONLINE)
        case Program.TRL:
            train_with_trl(run_spec, recording, partitioned=partitioned)
        case Program.BARE:
            train_bare(run_spec, recording)


if __name__ == "__main__":
    imported = time.time()
    torch.manual_seed(0)
    recorded = Recording(started=float(sys.argv[4]), imported=imported)
    main(Program(sys.argv[1]), RunSpec.model_validate_json(Path(sys.argv[2]).read_text()), recorded)
    Path(sys.argv[3]).write_text(recorded.timeline.to_json())
