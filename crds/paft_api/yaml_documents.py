"""YAML as kubectl reads it, with the place of every value.

kubectl turns YAML into JSON: keys such as `on` become "true", dates stay text. Aliases are followed, but only as
far as a document of this kind can need.
"""

import json
import math
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from paft_api.errors import JobFileFinding, JobFileInvalid
from paft_api.yaml_scalars import Scalar, read_scalar

MAXIMUM_BYTES = 1_000_000
MAXIMUM_NODES = 100_000
MAXIMUM_DEPTH = 64
Json = dict[str, "Json"] | list["Json"] | Scalar
FieldPath = tuple[str | int, ...]

_PLAIN = "!plain"
_STANDARD = "tag:yaml.org,2002:"
_MERGE = _STANDARD + "merge"


class _Loader(yaml.SafeLoader):
    """Composes nodes; what a plain scalar means is left to `read_scalar`."""

    def resolve(self, kind: type[yaml.Node], value: str, implicit: tuple[bool, bool]) -> str:
        if kind is yaml.ScalarNode and implicit[0]:
            return _MERGE if value == "<<" else _PLAIN
        tags = {yaml.ScalarNode: "str", yaml.SequenceNode: "seq", yaml.MappingNode: "map"}
        return _STANDARD + tags[kind]


@dataclass(kw_only=True, slots=True)
class PlacedDocument:
    """`content`: the document as JSON, without what `findings` are about.

    `places`: line and column of every field, from 1: of its key, or in a list of the entry itself.
    """

    content: Json
    places: dict[FieldPath, tuple[int, int]] = field(default_factory=dict)
    findings: tuple[tuple[FieldPath, JobFileFinding], ...] = ()


def read_document(path: Path, holds: str = "PaftJob") -> PlacedDocument:
    """Read one YAML file. `holds`: what should be in it. Raises JobFileInvalid where nothing can be understood."""
    text = _read_text(path)
    try:
        _require_shallow(path, text)
        nodes = list(yaml.compose_all(text, Loader=_Loader))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise _at(path, mark, f"not valid YAML: {error.problem or error.context}") from error
    except yaml.reader.ReaderError as error:
        raise _unreadable_character(path, text, error) from error
    if not nodes:
        raise _whole_file(path, f"the file is empty; it should hold one {holds}")
    if len(nodes) > 1:
        message = f"the file holds {len(nodes)} documents; put each {holds} into a file of its own"
        raise _at(path, nodes[1].start_mark, message)
    converter = _Converter()
    content = converter.convert(nodes[0], ())
    return PlacedDocument(content=content, places=converter.places, findings=tuple(converter.findings))


def _read_text(path: Path) -> str:
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise _whole_file(path, "there is no such file") from error
    except IsADirectoryError as error:
        raise _whole_file(path, "this is a folder; name a file") from error
    except PermissionError as error:
        raise _whole_file(path, "this file may not be read by you") from error
    if len(content) > MAXIMUM_BYTES:
        raise _whole_file(path, f"{len(content)} bytes; at most {MAXIMUM_BYTES} are read")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _whole_file(path, f"not UTF-8 at byte {error.start}; save the file as UTF-8") from error


def _require_shallow(path: Path, text: str) -> None:
    """Raises JobFileInvalid for nesting that would exhaust the stack of everything that walks the document."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAXIMUM_DEPTH:
                raise _at(path, event.start_mark, f"nested deeper than {MAXIMUM_DEPTH} levels; fewer are enough")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _at(path: Path, mark: yaml.Mark | None, message: str) -> JobFileInvalid:
    if mark is None:
        return _whole_file(path, message)
    finding = JobFileFinding(line=mark.line + 1, column=mark.column + 1, path="", message=message)
    return JobFileInvalid(str(path), [finding])


def _unreadable_character(path: Path, text: str, error: yaml.reader.ReaderError) -> JobFileInvalid:
    before = text[: error.position].split("\n")
    message = f"not valid YAML: the character U+{error.character:04X} cannot stand here; remove it"
    finding = JobFileFinding(line=len(before), column=len(before[-1]) + 1, path="", message=message)
    return JobFileInvalid(str(path), [finding])


def _whole_file(path: Path, message: str) -> JobFileInvalid:
    return JobFileInvalid(str(path), [JobFileFinding(line=None, column=None, path="", message=message)])


_Entries = dict[str, tuple[yaml.Node, yaml.Node]]
"""Key and value nodes of a map by the key's text, merge keys followed."""


class _Converter:
    """From YAML nodes to JSON, collecting places and findings."""

    def __init__(self) -> None:
        self.places: dict[FieldPath, tuple[int, int]] = {}
        self.findings: list[tuple[FieldPath, JobFileFinding]] = []
        self._visited = 0
        self._open: set[int] = set()
        self._entries_of: dict[int, _Entries] = {}

    def convert(self, node: yaml.Node, path: FieldPath) -> Json:
        """One node and all below it."""
        self._visited += 1
        if self._visited > MAXIMUM_NODES:
            if self._visited == MAXIMUM_NODES + 1:
                self._find(node, path[:1], f"more than {MAXIMUM_NODES} values, aliases followed; write less")
            return None
        self.places.setdefault(path, _place(node))
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, path)
        if id(node) in self._open:
            self._find(node, path, "an alias inside its own anchor; write the value out")
            return None
        self._open.add(id(node))
        try:
            return self._collection(node, path)
        finally:
            self._open.remove(id(node))

    def _collection(self, node: yaml.Node, path: FieldPath) -> Json:
        if node.tag not in (_STANDARD + "map", _STANDARD + "seq"):
            self._find(node, path, f"the tag {_shown_tag(node)} means nothing here; remove it")
            return None
        if isinstance(node, yaml.SequenceNode):
            return [self.convert(child, (*path, index)) for index, child in enumerate(node.value)]
        result: dict[str, Json] = {}
        for key, (key_node, value_node) in self._entries(node, path).items():
            self.places[(*path, key)] = _place(key_node)
            result[key] = self.convert(value_node, (*path, key))
        return result

    def _entries(self, node: yaml.Node, path: FieldPath) -> _Entries:
        if id(node) in self._entries_of:
            return self._entries_of[id(node)]
        # A map that merges itself finds nothing in itself.
        self._entries_of[id(node)] = {}
        own: _Entries = {}
        merged: _Entries = {}
        for key_node, value_node in node.value:
            if key_node.tag == _MERGE:
                # The first of several wins.
                merged = self._merged(value_node, path) | merged
                continue
            key = self._key(key_node, path)
            if key is None:
                continue
            if key in own:
                first = own[key][0].start_mark.line + 1
                self._find(key_node, (*path, key), f"written twice; the first is on line {first}")
                continue
            own[key] = (key_node, value_node)
        self._entries_of[id(node)] = merged | own
        return self._entries_of[id(node)]

    def _merged(self, node: yaml.Node, path: FieldPath) -> _Entries:
        merged: _Entries = {}
        for source in node.value if isinstance(node, yaml.SequenceNode) else [node]:
            if not isinstance(source, yaml.MappingNode):
                self._find(source, path, "<< takes a map or a list of maps")
                continue
            merged = self._entries(source, path) | merged
        return merged

    def _key(self, node: yaml.Node, path: FieldPath) -> str | None:
        value = self._scalar(node, path) if isinstance(node, yaml.ScalarNode) else None
        if value is None or isinstance(value, float):
            self._find(node, path, "a key must be text; put it in quotes")
            return None
        return value if isinstance(value, str) else json.dumps(value)

    def _scalar(self, node: yaml.ScalarNode, path: FieldPath) -> Scalar:
        kind = node.tag.removeprefix(_STANDARD)
        if kind in ("str", "merge"):
            return str(node.value)
        value = read_scalar(node.value)
        if isinstance(value, float) and not math.isfinite(value):
            self._find(node, path, f"{node.value} is not a finite number")
            return None
        if node.tag == _PLAIN or kind in _KINDS[type(value)]:
            return value
        self._find(node, path, f"the tag {_shown_tag(node)} does not go with {node.value!r}; remove it")
        return None

    def _find(self, node: yaml.Node, path: FieldPath, message: str) -> None:
        line, column = _place(node)
        finding = JobFileFinding(line=line, column=column, path=render_path(path), message=message)
        self.findings.append((path, finding))


_KINDS: dict[type, tuple[str, ...]] = {
    bool: ("bool",),
    int: ("int", "float"),
    float: ("float",),
    str: (),
    type(None): ("null",),
}
"""Tags that may stand before a value of each type."""


def _place(node: yaml.Node) -> tuple[int, int]:
    return node.start_mark.line + 1, node.start_mark.column + 1


def _shown_tag(node: yaml.Node) -> str:
    tag: str = node.tag
    return tag.replace(_STANDARD, "!!")


def render_path(path: FieldPath) -> str:
    """`spec.sft.data.train[0].format`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text
