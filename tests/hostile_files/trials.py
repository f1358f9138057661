"""One trial: a good folder, one seeded change, and what reading and verifying it come to."""

import shutil
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random

from safetensors import SafetensorError
from tests.hostile_files.cases import Expected, HostileCase
from tests.hostile_files.folders import ADAPTER, GoodFolders, write_folder
from tests.hostile_files.stock_reader import stock_view
from tests.merges import folder_uri

from paft_api.verification import Verification
from paft_trainer.adapters import read_adapter
from paft_trainer.base.index import index_base
from paft_trainer.errors import StageError
from paft_trainer.storage.file_store import FileStore
from paft_trainer.verification import verify

PEAK_BYTES = 48 * 1024 * 1024
"""Of Python's memory in a trial; the folders have some 100 KB, the largest hostile header 2 MB."""
SECONDS = 20.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """`refused`: reading raised an error of ours. `found`: verifying did, or told of a problem."""

    refused: StageError | None
    found: StageError | Verification | None
    unexpected: list[str]

    @property
    def name(self) -> str:
        """In one word."""
        return "refused" if self.refused is not None else "found" if self.found is not None else "silent"


def spoiled(case: HostileCase, good: GoodFolders, place: Path) -> Path:
    """A folder with the change of the case."""
    folder = write_folder(place / "folder", good.contents[case.target])
    case.spoil(good)(folder, Random(case.key))
    return folder


def judge(case: HostileCase, good: GoodFolders) -> tuple[str, list[str]]:
    """The outcome in one word, and what is wrong with it."""
    # Not within a folder of this name: only Hugging Face's layout may have links.
    with tempfile.TemporaryDirectory(prefix="paft-trial-") as place:
        folder = spoiled(case, good, Path(place))
        started = time.monotonic()
        tracemalloc.start()
        outcome = observe(folder, case.target, good.artifacts, expected_digest=case.expected_digest(good))
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        problems = [*outcome.unexpected]
        if peak > PEAK_BYTES:
            problems.append(f"{peak} bytes of memory")
        if time.monotonic() - started > SECONDS:
            problems.append(f"it took {time.monotonic() - started:.0f} s")
        name = outcome.name
        if name == "silent" and case.expected is Expected.FOUND_OR_HARMLESS:
            name, problems = "harmless", problems + _harm(folder, case, good)
        return name, problems + _unmet(case, outcome)


def observe(folder: Path, target: str, artifacts: Path, *, expected_digest: str | None = None) -> Outcome:
    """Read the folder as a stage would, and verify it."""
    store, uri = FileStore(), folder_uri(folder)
    unexpected: list[str] = []
    read: Callable[[], object] = (
        partial(read_adapter, store, uri) if target == ADAPTER else partial(index_base, store, uri, None)
    )
    check = partial(verify, store, uri, artifacts_uri=folder_uri(artifacts), expected_digest=expected_digest)
    refused = _error_of(read, "reading", unexpected)
    found: StageError | Verification | None = None

    def take() -> None:
        nonlocal found
        verification = check()
        found = None if verification.is_sound else verification

    error = _error_of(take, "verifying", unexpected)
    return Outcome(refused=refused, found=error or found, unexpected=unexpected)


def _error_of(act: Callable[[], object], what: str, unexpected: list[str]) -> StageError | None:
    """The error of ours; any other is put into words, as it may be anything."""
    try:
        act()
    except StageError as error:
        if not (error.message and error.remedy and f"{error.message}{error.remedy}".isprintable()):
            unexpected.append(f"{what}: {error.message!r} {error.remedy!r} is not clear")
        return error
    except Exception as error:  # noqa: BLE001 whatever it is, it is what trials look for
        unexpected.append(f"{what} raised {type(error).__name__}: {error}")
    return None


def _unmet(case: HostileCase, outcome: Outcome) -> list[str]:
    missed = []
    if case.expected is Expected.REFUSED and outcome.refused is None:
        missed.append("reading accepted it")
    if case.expected in (Expected.REFUSED, Expected.FOUND) and outcome.found is None:
        missed.append("verifying did not find it")
    if isinstance(outcome.found, Verification):
        problems = [problem for folder in outcome.found.folders for problem in folder.problems]
        if not all(problem.message and problem.remedy for problem in problems):
            missed.append("a problem without words")
    return missed


def _harm(folder: Path, case: HostileCase, good: GoodFolders) -> list[str]:
    """Independent of our readers: what the safetensors library and Python's json see, before and after."""
    with tempfile.TemporaryDirectory() as place:
        whole = write_folder(Path(place) / "whole", good.contents[case.target])
        before = stock_view(whole)
    try:
        after = stock_view(folder)
    except (ValueError, LookupError, TypeError, OSError, SafetensorError) as error:
        return [f"nobody noticed, and others cannot read it: {error}"]
    return [] if after == before else ["nobody noticed, and it is not harmless"]


def judge_clean(key: str, target: str, good: GoodFolders) -> list[str]:
    """Complaints about a folder with which nothing is wrong."""
    random = Random(key)
    with tempfile.TemporaryDirectory(prefix="paft-trial-") as place:
        folder = write_folder(Path(place) / "a folder é", good.contents[target])
        folder = random.choice(_CLEAN_LAYOUTS)(folder, random)
        outcome = observe(folder, target, good.artifacts)
        complaints = [*outcome.unexpected]
        if outcome.refused is not None:
            complaints.append(f"refused: {outcome.refused.message}")
        if isinstance(outcome.found, StageError):
            complaints.append(f"not verified: {outcome.found.message}")
        elif outcome.found is not None:
            complaints.append(f"found: {outcome.found.to_json()}")
        return complaints


def _as_it_is(folder: Path, random: Random) -> Path:
    return folder


def _in_the_cache_of_hugging_face(folder: Path, random: Random) -> Path:
    """Links into blobs/ of the same repository."""
    root = folder.parent / "models--org--name"
    snapshot, blobs = root / "snapshots" / "0123456789abcdef", root / "blobs"
    snapshot.mkdir(parents=True)
    blobs.mkdir()
    for path in sorted(folder.iterdir()):
        shutil.move(path, blobs / f"blob-{path.name}")
        (snapshot / path.name).symlink_to(Path("../../blobs") / f"blob-{path.name}")
    return snapshot


def _by_a_link(folder: Path, random: Random) -> Path:
    link = folder.parent / "link"
    link.symlink_to(folder)
    return link


def _with_links_inside(folder: Path, random: Random) -> Path:
    """As Kubernetes mounts ConfigMaps."""
    (folder / "..data").mkdir()
    for path in [path for path in sorted(folder.iterdir()) if path.is_file()]:
        path.rename(folder / "..data" / path.name)
        path.symlink_to(Path("..data") / path.name)
    return folder


def _with_other_files(folder: Path, random: Random) -> Path:
    for name in random.sample(["NOTES.md", ".gitattributes", "evaluation.txt", "model.gguf", "picture.png"], 2):
        (folder / name).write_bytes(random.randbytes(100))
    return folder


_CLEAN_LAYOUTS = (
    _as_it_is,
    _in_the_cache_of_hugging_face,
    _by_a_link,
    _with_links_inside,
    _with_other_files,
)
