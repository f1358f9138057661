"""Where compiled kernels are kept, and that they are compiled before anything is merged."""

import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch
from tests.merges import folder_uri, load_checkpoint, merge_run_spec, run_merge
from tests.tiny_models import build_adapter, build_checkpoint

import paft_api
import paft_trainer
from paft_trainer.errors import StageError
from paft_trainer.kernel_cache import VARIABLE
from paft_trainer.merge import warm_up

_NEW_SIGNATURES = """
import sys
from paft_api.run_spec import RunSpec
from paft_trainer.merge.available_arithmetic import available_arithmetic
from paft_trainer.merge.kernels import combining, measuring, products, rounding, sparsifying
from paft_trainer.merge.warm_up import warm_up
from tests.merges import run_merge

def compiled():
    modules = (combining, measuring, products, rounding, sparsifying)
    kernels = [one for module in modules for one in vars(module).values() if hasattr(one, "nopython_signatures")]
    return {(kernel.__name__, str(signature)) for kernel in kernels for signature in kernel.nopython_signatures}

for text in sys.argv[1:]:
    run_spec = RunSpec.model_validate_json(text)
    warm_up([run_spec.merge.spec], available_arithmetic(), dtype="BF16")
    before = compiled()
    run_merge(run_spec)
    print(run_spec.merge.spec.method, len(before) > 0, sorted(compiled() - before))
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base and two adapters."""
    root = tmp_path_factory.mktemp("kernels")
    base = build_checkpoint(root / "base", "llama", dtype=torch.bfloat16)
    build_adapter(root / "sft", base, seed=1)
    build_adapter(root / "preference", base, seed=2, target_modules=["q_proj", "v_proj"])
    return root


def places(root: Path, folder: Path) -> dict[str, str]:
    """Folders of a merge that writes below `folder`."""
    inputs = {name: folder_uri(root / name) for name in ("base", "sft", "preference")}
    return inputs | {"output": folder_uri(folder / "out"), "artifacts": folder_uri(folder / "artifacts")}


def test_a_merge_compiles_nothing_that_was_not_compiled_before(root: Path, tmp_path: Path) -> None:
    # In this order each has kernels that those before it do not have.
    methods = {
        "linear": None,
        "ties": 0.3,
        "slerp": None,
        "dare_ties": 0.5,
        "della": 0.5,
        "sce": 0.5,
        "model_stock": None,
    }
    run_specs = [
        merge_run_spec(**places(root, tmp_path / method), method=method, density=density).to_json()
        for method, density in methods.items()
    ]
    ended = subprocess.run(
        [sys.executable, "-c", _NEW_SIGNATURES, *run_specs], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines() == [f"{method} True []" for method in methods]


def test_a_merge_works_where_only_its_own_folders_may_be_written_to(root: Path, tmp_path: Path) -> None:
    sources = shutil.copytree(
        Path(paft_trainer.__file__).parent, tmp_path / "source" / "paft_trainer", ignore=_no_compiled_files
    )
    for folder in [sources, *(path for path in sources.rglob("*") if path.is_dir())]:
        # Root may write to folders that are read-only, but not into a file.
        (folder / "__pycache__").touch()
        folder.chmod(0o555)
    run_spec = merge_run_spec(**places(root, tmp_path), method="linear")
    names = {"scratchDirectory": "scratch", "cacheDirectory": "cache", "reportPath": "report", "terminationPath": "end"}
    own = {field: str(tmp_path / name) for field, name in names.items()}
    file = tmp_path / "run_spec.json"
    file.write_text(json.dumps(run_spec.to_document() | own))
    environment = {name: value for name, value in os.environ.items() if name not in (VARIABLE, "XDG_CACHE_HOME")}
    path = os.pathsep.join([str(sources.parent), str(Path(paft_api.__file__).parents[1])])

    # In /proc nobody can make a folder.
    ended = subprocess.run(
        [sys.executable, "-P", "-m", "paft_trainer", "merge", "--run-spec", str(file)],
        env=environment | {"HOME": "/proc", "PYTHONPATH": path},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert ended.returncode == 0, ended.stderr
    assert load_checkpoint(tmp_path / "out").keys() == load_checkpoint(root / "base").keys()
    assert list((tmp_path / "cache" / "kernels").rglob("products.delta_rows-*.nbi"))


@pytest.mark.parametrize("kept", [False, True])
def test_compiling_begins_before_anything_is_read_where_no_kernels_are_kept(
    kept: bool, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernels = tmp_path / "kernels" / "kernels_of_some_source"
    kernels.mkdir(parents=True)
    if kept:
        (kernels / "products.gram-60.py311.nbi").touch()
    monkeypatch.setenv(VARIABLE, str(kernels.parent))
    begun: list[tuple[list[str], str]] = []
    monkeypatch.setattr(
        warm_up, "warm_up", lambda merges, arithmetic, *, dtype: begun.append(([one.method for one in merges], dtype))
    )
    run_spec = merge_run_spec(**places(root, tmp_path) | {"base": folder_uri(tmp_path / "nothing")}, method="slerp")
    with pytest.raises(StageError, match="is empty or does not exist"):
        run_merge(run_spec)
    for thread in threading.enumerate():
        if thread.name == "warm-up":
            thread.join()
    assert begun == ([] if kept else [(["slerp"], "BF16")])


def _no_compiled_files(folder: str, names: list[str]) -> set[str]:
    return {"__pycache__"} & set(names)
