"""Changes of the headers of safetensors files, each to something that no reader should accept."""

import json
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

Document = dict[str, Any]
Spoil = Callable[[Path, Random], None]

DEEP = 100_000
BEYOND_64_BITS = (2**63, 2**64, 2**64 - 1, 10**30, 2**60)


def weights_of(folder: Path) -> list[Path]:
    """Its safetensors files, in order."""
    return sorted(folder.glob("*.safetensors"))


def split(file: Path) -> tuple[bytes, bytes]:
    """Header and data."""
    content = file.read_bytes()
    end = 8 + int.from_bytes(content[:8], "little")
    return content[8:end], content[end:]


def join(header: bytes, data: bytes) -> bytes:
    """A file of a header and data."""
    return len(header).to_bytes(8, "little") + header + data


def entries(document: Document) -> list[str]:
    """Names of tensors, in the order of their bytes."""
    names = [name for name in document if name != "__metadata__"]
    return sorted(names, key=lambda name: document[name]["data_offsets"])


def in_document(change: Callable[[Document, Random], None]) -> Spoil:
    """Change the parsed header of one file."""

    def spoil(folder: Path, random: Random) -> None:
        headers = {file: json.loads(split(file)[0]) for file in weights_of(folder)}
        file = random.choice([file for file, document in headers.items() if len(entries(document)) > 1])
        document, data = headers[file], split(file)[1]
        change(document, random)
        file.write_bytes(join(json.dumps(document).encode(), data))

    return spoil


def in_entry(change: Callable[[Document, Random], None]) -> Spoil:
    """Change one tensor's entry."""

    def change_one(document: Document, random: Random) -> None:
        change(document[random.choice(entries(document))], random)

    return in_document(change_one)


def in_text(change: Callable[[str, Random], str | bytes]) -> Spoil:
    """Change the text of the header of one file."""

    def spoil(folder: Path, random: Random) -> None:
        file = random.choice(weights_of(folder))
        header, data = split(file)
        changed = change(header.decode().rstrip(), random)
        file.write_bytes(join(changed if isinstance(changed, bytes) else changed.encode(), data))

    return spoil


def _claimed_length(choose: Callable[[int, Random], int]) -> Spoil:
    def spoil(folder: Path, random: Random) -> None:
        file = random.choice(weights_of(folder))
        content = file.read_bytes()
        file.write_bytes(choose(len(content), random).to_bytes(8, "little") + content[8:])

    return spoil


def _shift(document: Document, random: Random, by: int) -> None:
    names = entries(document)
    for name in names[random.randrange(1, len(names)) :]:
        document[name]["data_offsets"] = [offset + by for offset in document[name]["data_offsets"]]


def _overlap(document: Document, random: Random) -> None:
    _shift(document, random, -random.choice((1, 2, 4, 8)))


def _gap(document: Document, random: Random) -> None:
    _shift(document, random, random.choice((1, 2, 4, 8)))


def _same_bytes(document: Document, random: Random) -> None:
    """A second tensor over the bytes of another."""
    name = random.choice(entries(document))
    document["twin.weight"] = dict(document[name])


def _turned(entry: Document, random: Random) -> None:
    entry["data_offsets"] = [entry["data_offsets"][1] + 1, entry["data_offsets"][0]]


def _negative(entry: Document, random: Random) -> None:
    field = random.choice(("shape", "data_offsets"))
    entry[field] = [-value - 1 for value in entry[field]]


def _huge(entry: Document, random: Random) -> None:
    field = random.choice(("shape", "data_offsets"))
    entry[field][random.randrange(len(entry[field]))] = random.choice(BEYOND_64_BITS)


def _not_whole(entry: Document, random: Random) -> None:
    field = random.choice(("shape", "data_offsets"))
    entry[field] = [random.choice((float(value), str(value), [value], None)) for value in entry[field]]


def _overflowing(entry: Document, random: Random) -> None:
    """Products that 64 bits take for 0 or for the right size, or that a 0 seems to make harmless."""
    entry["shape"] = random.choice(([2**32, 2**32], [2**59, 2**59, 0], [0, 2**59, 2**59], [2**62, 4, *entry["shape"]]))
    if 0 in entry["shape"]:
        entry["data_offsets"] = [0, 0]


def _many_dimensions(entry: Document, random: Random) -> None:
    entry["shape"] = [2**59] * random.choice((1_000, 200_000))


def _empty_inside(document: Document, random: Random) -> None:
    """A tensor without bytes in the middle of another."""
    begin, end = document[random.choice(entries(document))]["data_offsets"]
    place = random.randrange(begin + 1, end)
    document["empty.weight"] = {"dtype": "F32", "shape": [0, 4], "data_offsets": [place, place]}


def _empty_beyond(document: Document, random: Random) -> None:
    end = max(document[name]["data_offsets"][1] for name in entries(document))
    place = end + random.randrange(1, 1_000)
    document["empty.weight"] = {"dtype": "F32", "shape": [0], "data_offsets": [place, place]}


def _dtype(entry: Document, random: Random) -> None:
    entry["dtype"] = random.choice(("F7", "f32", "", None, 4, ["F32"], {"F32": 1}, "F64", "F16"))


def _lacking(entry: Document, random: Random) -> None:
    del entry[random.choice(sorted(entry))]


def _no_entry(document: Document, random: Random) -> None:
    document[random.choice(entries(document))] = random.choice((None, 1, "text", [], [1, 2], {}, True))


def _metadata(document: Document, random: Random) -> None:
    document["__metadata__"] = random.choice(({"a": 1}, {"a": None}, [], "text", 1, {"a": {"b": "c"}}))


def _double_name(text: str, random: Random) -> str:
    document = json.loads(text)
    name = random.choice(entries(document))
    entry = json.dumps(document[name])
    return text[:-1] + f",{json.dumps(name)}:{entry}}}"


def _double_field(text: str, random: Random) -> str:
    fields = ('"dtype":"F32",', '"data_offsets":[0,4],', '"shape":[1],')
    begin = random.choice([place for place in range(len(text)) if text.startswith('{"dtype"', place)])
    return text[: begin + 1] + random.choice(fields) + text[begin + 1 :]


def _constant(text: str, random: Random) -> str:
    constant = random.choice(("NaN", "Infinity", "-Infinity"))
    return text[:-1] + f',"x":{{"dtype":"F32","shape":[{constant}],"data_offsets":[0,0]}}}}'


def _deep(text: str, random: Random) -> str:
    opening = random.choice(("[", '{"a":'))
    return text[:-1] + ',"x":' + opening * DEEP


def _no_utf8(text: str, random: Random) -> bytes:
    place = random.randrange(2, len(text))
    return text[:place].encode() + random.choice((b"\xff", b"\xc0\x80", b"\xed\xa0\x80")) + text[place:].encode()


def _half_pair(text: str, random: Random) -> str:
    name = json.dumps(random.choice(entries(json.loads(text))))
    return text.replace(name, name[:-1] + random.choice(("\\ud800", "\\udfff")) + '"', 1)


def _other_encoding(text: str, random: Random) -> bytes:
    return text.encode(random.choice(("utf-16", "utf-16-le", "utf-32", "utf-8-sig")))


def _garbage(text: str, random: Random) -> bytes:
    return random.randbytes(random.randrange(2, 5_000))


def _no_object(text: str, random: Random) -> str:
    return random.choice((f"[{text}]", "null", '"text"', "1", "[]", "", "{", text[:-1], text + "}", text + text))


LENGTHS: dict[str, Spoil] = {
    "header longer than the file": _claimed_length(lambda size, random: size - 8 + random.randrange(1, 10_000)),
    "giant header": _claimed_length(lambda size, random: random.choice((2**31, 2**32, 2**40, 2**63, 2**64 - 1))),
    "header of another length": _claimed_length(lambda size, random: random.randrange(0, 200)),
}

HEADERS: dict[str, Spoil] = LENGTHS | {
    "overlapping tensors": in_document(_overlap),
    "gap between tensors": in_document(_gap),
    "two tensors of the same bytes": in_document(_same_bytes),
    "offsets turned round": in_entry(_turned),
    "negative numbers": in_entry(_negative),
    "numbers beyond 64 bits": in_entry(_huge),
    "numbers that are not whole": in_entry(_not_whole),
    "shape that overflows": in_entry(_overflowing),
    "shape of many dimensions": in_entry(_many_dimensions),
    "empty tensor inside another": in_document(_empty_inside),
    "empty tensor beyond the end": in_document(_empty_beyond),
    "other dtype": in_entry(_dtype),
    "entry that lacks a field": in_entry(_lacking),
    "entry of another type": in_document(_no_entry),
    "metadata of another type": in_document(_metadata),
    "tensor named twice": in_text(_double_name),
    "field named twice": in_text(_double_field),
    "NaN or Infinity in the header": in_text(_constant),
    "deeply nested header": in_text(_deep),
    "header not in UTF-8": in_text(_no_utf8),
    "half a surrogate pair in a name": in_text(_half_pair),
    "header in another encoding": in_text(_other_encoding),
    "garbage for a header": in_text(_garbage),
    "header that is no JSON object": in_text(_no_object),
}
"""Reading must refuse each of them."""
