"""YAML as kubectl reads it, with the place of every value.

kubectl turns YAML 1.1 into JSON: `1e-4` is a number although PyYAML takes it for text, and keys such as `on` become
"true". Aliases are followed, but only as far as a document of this kind can need.
"""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from paft_api.errors import JobFileFinding, JobFileInvalid

MAXIMUM_NODES = 100_000
Json = dict[str, "Json"] | list["Json"] | str | int | float | bool | None
Path_ = tuple[str | int, ...]


class _Loader(yaml.SafeLoader):
    """SafeLoader with the floats of YAML 1.2 and without dates, which JSON does not have."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9][0-9_]*(\.[0-9_]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
)


@dataclass(kw_only=True, slots=True)
class PlacedDocument:
    """`content`: the document as JSON. `places`: line and column of every value and, for keys, of the key, from 1."""

    content: Json
    places: dict[Path_, tuple[int, int]] = field(default_factory=dict)


def read_document(path: Path) -> PlacedDocument:
    """Read one YAML file. Raises JobFileInvalid with all findings."""
    text = _read_text(path)
    try:
        nodes = list(yaml.compose_all(text, Loader=_Loader))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = (None, None) if mark is None else (mark.line + 1, mark.column + 1)
        raise JobFileInvalid(
            str(path),
            [JobFileFinding(line=place[0], column=place[1], path="", message=f"no valid YAML: {error.problem}")],
        ) from error
    except yaml.YAMLError as error:
        raise _whole_file(path, f"no valid YAML: {error}") from error
    if not nodes:
        raise _whole_file(path, "the file is empty; it should hold one PaftJob")
    if len(nodes) > 1:
        second = nodes[1].start_mark
        finding = JobFileFinding(
            line=second.line + 1,
            column=1,
            path="",
            message=f"the file holds {len(nodes)} documents; put each PaftJob into a file of its own",
        )
        raise JobFileInvalid(str(path), [finding])
    converter = _Converter()
    content = converter.convert(nodes[0], ())
    if converter.findings:
        raise JobFileInvalid(str(path), converter.findings)
    return PlacedDocument(content=content, places=converter.places)


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise _whole_file(path, "there is no such file") from error
    except IsADirectoryError as error:
        raise _whole_file(path, "this is a folder; name a file") from error
    except PermissionError as error:
        raise _whole_file(path, "this file may not be read by you") from error
    except UnicodeDecodeError as error:
        raise _whole_file(path, f"not UTF-8 at byte {error.start}; save the file as UTF-8") from error


def _whole_file(path: Path, message: str) -> JobFileInvalid:
    return JobFileInvalid(str(path), [JobFileFinding(line=None, column=None, path="", message=message)])


class _Converter:
    """From YAML nodes to JSON, collecting places and findings."""

    def __init__(self) -> None:
        self.places: dict[Path_, tuple[int, int]] = {}
        self.findings: list[JobFileFinding] = []
        self._constructor = _Loader("")
        self._visited = 0

    def convert(self, node: yaml.Node, path: Path_) -> Json:
        self._visited += 1
        if self._visited > MAXIMUM_NODES:
            if self._visited == MAXIMUM_NODES + 1:
                self._find(node, path, f"more than {MAXIMUM_NODES} values, aliases followed; write less")
            return None
        self.places.setdefault(path, (node.start_mark.line + 1, node.start_mark.column + 1))
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.convert(child, (*path, index)) for index, child in enumerate(node.value)]
        return self._scalar(node, path)

    def _mapping(self, node: yaml.MappingNode, path: Path_) -> Json:
        first_places = {id(key): key.start_mark for key, _ in node.value}
        self._constructor.flatten_mapping(node)
        result: dict[str, Json] = {}
        written_at: dict[str, int] = {}
        for key_node, value_node in node.value:
            key = self._key(key_node, path)
            is_merged = id(key_node) not in first_places
            if key in written_at and not is_merged:
                self._find(key_node, (*path, key), f"written twice; the first is on line {written_at[key]}")
                continue
            if key in result and is_merged:
                continue
            written_at[key] = key_node.start_mark.line + 1
            self.places[(*path, key)] = (key_node.start_mark.line + 1, key_node.start_mark.column + 1)
            result[key] = self.convert(value_node, (*path, key))
        return result

    def _key(self, node: yaml.Node, path: Path_) -> str:
        value = self._scalar(node, path) if isinstance(node, yaml.ScalarNode) else None
        if value is None:
            self._find(node, path, "a key must be a word")
            return ""
        return value if isinstance(value, str) else json.dumps(value)

    def _scalar(self, node: yaml.Node, path: Path_) -> Json:
        if node.tag == "tag:yaml.org,2002:float" and "e" in node.value.lower():
            return self._finite(node, path, float(node.value.replace("_", "")))
        try:
            value = self._constructor.construct_object(node)
        except (yaml.YAMLError, ValueError) as error:
            self._find(node, path, f"not understood: {error}")
            return None
        if isinstance(value, float):
            return self._finite(node, path, value)
        if value is None or isinstance(value, str | int | bool):
            return value
        self._find(node, path, f"{node.tag.rpartition(':')[2]} values do not exist in JSON; write text or a number")
        return None

    def _finite(self, node: yaml.Node, path: Path_, value: float) -> Json:
        if value != value or value in (float("inf"), float("-inf")):
            self._find(node, path, f"{node.value} is not a finite number")
            return None
        return value

    def _find(self, node: yaml.Node, path: Path_, message: str) -> None:
        mark = node.start_mark
        self.findings.append(
            JobFileFinding(line=mark.line + 1, column=mark.column + 1, path=render_path(path), message=message)
        )


def render_path(path: Path_) -> str:
    """`spec.sft.data.train[0].format`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text
