"""What this machine can give."""

import pytest

from paft_cli.errors import CommandError
from paft_cli.local import machine


@pytest.mark.parametrize(("chosen", "devices"), [("0,1", (0, 1)), (" 3 ", (3,)), ("", ()), ("-1", ())])
def test_cuda_visible_devices_decides(chosen: str, devices: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_torch_has_cuda", lambda: True)
    assert machine.this_machine({"CUDA_VISIBLE_DEVICES": chosen}).cuda_devices == devices


def test_devices_by_other_names_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_torch_has_cuda", lambda: True)
    with pytest.raises(CommandError, match="CUDA_VISIBLE_DEVICES is 'GPU-1a2b'; .* write indices such as 0,1"):
        machine.this_machine({"CUDA_VISIBLE_DEVICES": "GPU-1a2b"})


def test_a_torch_without_cuda_has_no_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_torch_has_cuda", lambda: False)
    assert machine.this_machine({"CUDA_VISIBLE_DEVICES": "0,1"}).cuda_devices == ()


def test_there_is_at_least_one_core() -> None:
    assert machine.this_machine({}).cpus >= 1
