"""In a process of its own, since DeepSpeed looks once."""

import os
import subprocess
import sys

import pytest


@pytest.mark.slow
def test_deepspeed_says_nothing_where_no_accelerator_is_asked_for() -> None:
    program = (
        "from paft_trainer.no_accelerator import use_no_accelerator; use_no_accelerator(); "
        "import paft_trainer.training.adapter_targets, deepspeed; deepspeed.get_accelerator()"
    )
    environment = {name: value for name, value in os.environ.items() if name != "DS_ACCELERATOR"}
    ended = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert ended.stdout == ""
