"""What a folder should hold with what it holds, without reading anything."""

from paft_api.verification import ProblemKind
from paft_trainer.verification.comparison import FileIdentity, compare_files, extra_files

A, B, C = (FileIdentity(size=size, sha256=letter * 64) for size, letter in ((1, "a"), (2, "b"), (2, "c")))


def told(expected: dict[str, FileIdentity], found: dict[str, FileIdentity]) -> list[tuple[str, str, str]]:
    problems = compare_files(expected, found, kind="merge")
    assert all("run the same merge again" in problem.remedy for problem in problems)
    return [(problem.file, problem.kind.value, problem.message) for problem in problems]


def test_equal_folders_have_no_problem() -> None:
    assert told({"a": A, "b": B}, {"b": B, "a": A}) == []


def test_each_file_has_its_own_problem() -> None:
    longer = FileIdentity(size=5, sha256="d" * 64)
    assert told({"a": A, "b": B, "c": C}, {"b": longer, "c": FileIdentity(size=2, sha256="e" * 64)}) == [
        ("a", "Missing", "it is not there"),
        ("b", "Size", "it has 5 bytes instead of 2"),
        ("c", "Content", f"its SHA-256 is {'e' * 64} instead of {'c' * 64}"),
    ]
    assert told({"b": B}, {"b": FileIdentity(size=1, sha256="e" * 64)}) == [("b", "Size", "it ends after 1 of 2 bytes")]


def test_what_lies_in_another_s_place_is_told_as_such() -> None:
    assert told({"a": A, "b": B, "c": C}, {"a": A, "b": C, "c": B}) == [
        ("b", "Swapped", "it holds the content of c"),
        ("c", "Swapped", "it holds the content of b"),
    ]
    assert told({"a": A, "b": B}, {"a": B, "b": B}) == [("a", "Swapped", "it holds the content of b")]
    assert told({"a": A}, {"x": A}) == [("a", "Missing", "it is not there; x holds its content")]


def test_files_of_equal_content_are_not_swapped() -> None:
    assert told({"a": A, "b": A}, {"a": A, "b": A}) == []


def test_extra_files_are_those_that_readers_load() -> None:
    names = [
        "model-00001-of-00001.safetensors", "pytorch_model.bin", "config.json", "tokenizer.json", "modeling_x.py",
        "other.index.json", "README.md", "LICENSE", "evaluation.json", "model.gguf", "sub/model.safetensors",
        "known.py",
    ]  # fmt: skip
    problems = extra_files({"known.py"}, names)
    assert [problem.file for problem in problems] == names[:6]
    assert {problem.kind for problem in problems} == {ProblemKind.EXTRA}
