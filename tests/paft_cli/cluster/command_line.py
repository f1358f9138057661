"""`paft` as a person calls it, in this process or as one of its own, against a test's namespace."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from paft_cli import __main__

ROOT = Path(__file__).parents[3]
PAFT = (sys.executable, "-P", "-m", "paft_cli")
PACKAGES = os.pathsep.join(str(ROOT / folder) for folder in ("crds", "operator"))


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


@dataclass(frozen=True, kw_only=True)
class CommandLine:
    """Calls of `paft` by one user."""

    monkeypatch: pytest.MonkeyPatch
    capture: pytest.CaptureFixture[str]
    kubeconfig: Path

    def __call__(self, *arguments: str) -> Ended:
        """Run a command to its end, in this process."""
        self.capture.readouterr()
        with self.monkeypatch.context() as patch:
            patch.setenv("KUBECONFIG", str(self.kubeconfig))
            patch.setattr(sys, "argv", ["paft", *arguments])
            with pytest.raises(SystemExit) as ended:
                __main__.main()
        captured = self.capture.readouterr()
        assert "Traceback" not in captured.err
        code = ended.value.code
        assert isinstance(code, int)
        return Ended(code, captured.out, captured.err)

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        """Start a command as a process."""
        return subprocess.Popen(
            (*PAFT, *arguments), env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    @property
    def environment(self) -> dict[str, str]:
        """Of such a process."""
        return os.environ | {"KUBECONFIG": str(self.kubeconfig), "PYTHONPATH": PACKAGES}


def lines_of(process: "subprocess.Popen[str]", count: int) -> list[str]:
    """The next lines of a process."""
    assert process.stdout is not None
    return [process.stdout.readline() for _ in range(count)]


def ended(process: "subprocess.Popen[str]") -> Ended:
    """How a process ends, with what it still prints; `communicate` would lose what `lines_of` has buffered."""
    assert process.stdout is not None
    assert process.stderr is not None
    with process:
        out, err = process.stdout.read(), process.stderr.read()
    return Ended(process.returncode, out, err)


def changed_kubeconfig(kubeconfig: Path, target: Path, **context: Any) -> Path:
    """A copy with fields of its context changed; `server` is the cluster's."""
    document = yaml.safe_load(kubeconfig.read_text(encoding="utf-8"))
    server = context.pop("server", None)
    if server is not None:
        document["clusters"][0]["cluster"]["server"] = server
    document["contexts"][0]["context"] |= context
    target.write_text(yaml.safe_dump(document), encoding="utf-8")
    return target
