"""Pure comparisons: what a folder should hold with what it holds."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from paft_api.verification import FolderKind, Problem, ProblemKind
from paft_trainer.checkpoint_files import PICKLE_SUFFIXES
from paft_trainer.foreign_documents import shown

REMEDIES: Mapping[FolderKind, str] = {
    "merge": "Copy it again from where it is whole, or delete merge_manifest.json and run the same merge again, which "
    "writes the same bytes.",
    "adapter": "Copy it again from where it is whole, or delete the folder; the arm is then trained again.",
    "base": "Download it again.",
}

_LOADED_SUFFIXES = (".safetensors", *PICKLE_SUFFIXES, ".index.json", ".jinja", ".py")
_LOADED_NAMES = frozenset(
    {
        "config.json",
        "generation_config.json",
        "adapter_config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "tokenizer.model",
        "spiece.model",
        "special_tokens_map.json",
        "added_tokens.json",
        "chat_template.json",
        "preprocessor_config.json",
        "processor_config.json",
        "vocab.json",
        "vocab.txt",
        "merges.txt",
    }
)


@dataclass(frozen=True, kw_only=True, slots=True)
class FileIdentity:
    """`size`: bytes. `sha256`: hexadecimal."""

    size: int
    sha256: str


def compare_files(
    expected: Mapping[str, FileIdentity], found: Mapping[str, FileIdentity], *, kind: FolderKind
) -> list[Problem]:
    """A problem for each of the expected files that is not there, or not as expected."""
    names_by_sha256: dict[str, list[str]] = {}
    for name, identity in expected.items():
        names_by_sha256.setdefault(identity.sha256, []).append(name)
    problems = []
    for name, wanted in expected.items():
        there = found.get(name)
        if there == wanted:
            continue
        if there is None:
            told = (ProblemKind.MISSING, "it is not there" + _where_instead(wanted, found))
        elif there.sha256 in names_by_sha256:
            told = (ProblemKind.SWAPPED, f"it holds the content of {shown(names_by_sha256[there.sha256][0])}")
        else:
            told = _difference(wanted, there, kind)
        problems.append(Problem(file=name, kind=told[0], message=told[1], remedy=REMEDIES[kind]))
    return problems


def extra_files(expected: Iterable[str], names: Iterable[str]) -> list[Problem]:
    """A problem for each file at the top level that was not published and would be loaded."""
    known = {*expected}
    return [
        Problem(
            file=name,
            kind=ProblemKind.EXTRA,
            message="it was not published with this folder, and readers may load it",
            remedy="Remove it, or move it to another folder.",
        )
        for name in names
        if name not in known and is_loaded(name)
    ]


def is_loaded(name: str) -> bool:
    """Whether readers of checkpoints and adapters take notice of a file of this name."""
    return "/" not in name and (name in _LOADED_NAMES or name.endswith(_LOADED_SUFFIXES))


def _difference(wanted: FileIdentity, there: FileIdentity, kind: FolderKind) -> tuple[ProblemKind, str]:
    if there.size < wanted.size:
        return ProblemKind.SIZE, f"it ends after {there.size} of {wanted.size} bytes"
    if there.size > wanted.size:
        return ProblemKind.SIZE, f"it has {there.size} bytes instead of {wanted.size}"
    # Of a base's weights it is one over hashes, not what sha256sum shows.
    what = "the SHA-256 in its index would be" if kind == "base" else "its SHA-256 is"
    return ProblemKind.CONTENT, f"{what} {there.sha256} instead of {wanted.sha256}"


def _where_instead(wanted: FileIdentity, found: Mapping[str, FileIdentity]) -> str:
    holder = next((name for name, identity in found.items() if identity == wanted), None)
    return "" if holder is None else f"; {shown(holder)} holds its content"
