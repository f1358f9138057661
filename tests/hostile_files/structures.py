"""Folders that are not what they seem: other formats under the names, indices that lie, links, configurations."""

import gzip
import io
import json
import os
import pickle
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from random import Random

from tests.hostile_files.folders import INDEX
from tests.hostile_files.headers import DEEP, Document, Spoil, in_document, join, split, weights_of


def _gzip(folder: Path, random: Random) -> None:
    file = random.choice(weights_of(folder))
    file.write_bytes(gzip.compress(file.read_bytes()))


def _pickle(folder: Path, random: Random) -> None:
    content: object = {"weight": list(range(random.randrange(3, 1_000)))}
    data = pickle.dumps(content, protocol=random.randrange(2, 6))
    if random.random() < 0.5:
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as file:
            file.writestr("archive/data.pkl", data)
        data = archive.getvalue()
    random.choice(weights_of(folder)).write_bytes(data)


def _other_text(folder: Path, random: Random) -> None:
    texts = (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n",
        b"<!DOCTYPE html><html>Not found</html>",
        b"<html><body>Sign in</body></html>",
        b"GGUF\x03\0\0\0" + bytes(100),
        b'{"error": "Entry not found"}',
    )
    random.choice(weights_of(folder)).write_bytes(random.choice(texts))


FORMATS: dict[str, Spoil] = {
    "weights compressed with gzip": _gzip,
    "pickle under the name of weights": _pickle,
    "another format under the name of weights": _other_text,
}


def in_index(change: Callable[[Document, Random], object]) -> Spoil:
    """Change the parsed index."""

    def spoil(folder: Path, random: Random) -> None:
        document = json.loads((folder / INDEX).read_bytes())
        change(document, random)
        (folder / INDEX).write_text(json.dumps(document))

    return spoil


def _pointing(choose: Callable[[str, Random], str]) -> Spoil:
    def change(document: Document, random: Random) -> None:
        weight_map = document["weight_map"]
        name = random.choice(sorted(weight_map))
        weight_map[name] = choose(weight_map[name], random)

    return in_index(change)


_OUTSIDE = (
    "../{file}",
    "../../../etc/passwd",
    "../secret.safetensors",
    "/etc/passwd",
    "/{file}",
    "sub/../{file}",
    "./{file}",
    "..%2F{file}",
    "file:///{file}",
    "s3://bucket/{file}",
    "..\\{file}",
    "",
    "..",
    "{file}\0",
    "config.json",
)


def _elsewhere(document: Document, random: Random) -> None:
    """A tensor in a file that lacks it."""
    weight_map = document["weight_map"]
    name = random.choice(sorted(weight_map))
    weight_map[name] = random.choice(sorted({*weight_map.values()} - {weight_map[name]}))


def _unknown_tensor(document: Document, random: Random) -> None:
    weight_map = document["weight_map"]
    weight_map["model.layers.9.mlp.up_proj.weight"] = random.choice(sorted(weight_map.values()))


def _not_named(document: Document, random: Random) -> None:
    del document["weight_map"][random.choice(sorted(document["weight_map"]))]


def _no_map(document: Document, random: Random) -> None:
    wrong = (None, {}, [], "model.safetensors", {"a": None}, {"a": ["model.safetensors"]}, 7)
    document["weight_map"] = random.choice(wrong)


def _broken_index(folder: Path, random: Random) -> None:
    text = (folder / INDEX).read_text()
    name = random.choice(sorted(json.loads(text)["weight_map"]))
    broken = (
        "[" * DEEP,
        '{"a":' * DEEP,
        text[: random.randrange(len(text) - 2)],
        "",
        "[]",
        text.rstrip()[:-1] + ', "x": NaN}',
        text.rstrip()[:-1] + ', "weight_map": {}}',
        text.replace('"weight_map": {', f'"weight_map": {{"{name}": "model-00001-of-00001.safetensors",'),
    )
    (folder / INDEX).write_text(random.choice(broken))


def _tensor_in_two(folder: Path, random: Random) -> None:
    """One tensor in two files, and the index names one of them."""
    first, second = random.sample(weights_of(folder), 2)
    (header, data), (donor, donated) = split(first), split(second)
    document, other = json.loads(header), json.loads(donor)
    name = random.choice([name for name in other if name != "__metadata__"])
    begin, end = other[name]["data_offsets"]
    document[name] = {**other[name], "data_offsets": [len(data), len(data) + end - begin]}
    first.write_bytes(join(json.dumps(document).encode(), data + donated[begin:end]))


def _single_beside(folder: Path, random: Random) -> None:
    """What one reader loads and another does not."""
    shutil.copyfile(random.choice(weights_of(folder)), folder / "model.safetensors")


INDICES: dict[str, Spoil] = {
    "index that leads out of the folder": _pointing(
        lambda file, random: random.choice(_OUTSIDE).replace("{file}", file)
    ),
    "index that names a missing file": _pointing(lambda file, random: "model-00077-of-00077.safetensors"),
    "index that names a file without the tensor": in_index(_elsewhere),
    "index that names an unknown tensor": in_index(_unknown_tensor),
    "index that lacks a tensor": in_index(_not_named),
    "index without a map": in_index(_no_map),
    "index that is none": _broken_index,
    "tensor in two files": _tensor_in_two,
    "single file beside an index": _single_beside,
}


def _link_out(choose: Callable[[Path, Random], Path]) -> Spoil:
    def spoil(folder: Path, random: Random) -> None:
        file = choose(folder, random)
        outside = folder.parent / f"outside-{file.name}"
        file.rename(outside)
        target = outside if random.random() < 0.5 else Path("..") / outside.name
        file.symlink_to(target)

    return spoil


def _to_a_secret(folder: Path, random: Random) -> None:
    """What a merge would copy into its output."""
    secret = folder.parent / "credentials"
    secret.write_text("secret")
    (folder / random.choice(("tokenizer_extra.json", "NOTICE", "vocab.txt"))).symlink_to(secret)


def _broken_link(folder: Path, random: Random) -> None:
    file = random.choice(weights_of(folder))
    file.unlink()
    file.symlink_to(random.choice((folder / "nothing", folder / file.name)))


def _no_regular_file(folder: Path, random: Random) -> None:
    file = random.choice(weights_of(folder))
    file.unlink()
    match random.randrange(3):
        case 0:
            os.mkfifo(file)
        case 1:
            file.mkdir()
        case _:
            file.symlink_to("/dev/zero")


LINKS: dict[str, Spoil] = {
    "link to weights out of the folder": _link_out(lambda folder, random: random.choice(weights_of(folder))),
    "link to the configuration out of the folder": _link_out(
        lambda folder, random: next(
            folder / name for name in ("adapter_config.json", "config.json") if (folder / name).exists()
        )
    ),
    "broken link for weights": _broken_link,
    "weights that are no regular file": _no_regular_file,
}
LINKED_SECRETS: dict[str, Spoil] = {"link to a secret beside the weights": _to_a_secret}


def _configuration(folder: Path, random: Random) -> None:
    """config.json or adapter_config.json as no reader should take it."""
    file = next(folder / name for name in ("adapter_config.json", "config.json") if (folder / name).exists())
    text = file.read_text().rstrip()
    name = random.choice(sorted(json.loads(text)))
    broken = (
        "[" * DEEP,
        text[:-1] + ', "x": ' + "[" * DEEP,
        text[:-1] + f', "{name}": 1}}',
        text[:-1] + ', "x": NaN}',
        text[:-1] + ', "x": "\\ud800é"}',
        text[: random.randrange(len(text))],
        "[]",
        "",
    )
    file.write_text(random.choice(broken))


def _adapter_options(folder: Path, random: Random) -> None:
    file = folder / "adapter_config.json"
    options: tuple[dict[str, object], ...] = (
        {"lora_alpha": 10**400},
        {"lora_alpha": 1e300},
        {"lora_alpha": True},
        {"lora_alpha": "8"},
        {"r": 2**62},
        {"r": 10**400},
        {"r": 0},
        {"r": -1},
        {"r": 2.0},
        {"rank_pattern": {"(": 2}},
        {"rank_pattern": {"a{99999999999999}": 2}},
        {"rank_pattern": {"(?i)q_proj": 2}},
        {"rank_pattern": {"(" * 5_000 + ")" * 5_000: 2}},
        {"rank_pattern": {r"([a-z0-9_]+\.?)+!": 2}},
        {"alpha_pattern": {"(.|.)" * 20 + "!": 2}},
        {"alpha_pattern": {".?" * 40 + "!": 2}},
        {"rank_pattern": [1]},
        {"alpha_pattern": {"q_proj": None}},
        {"use_dora": True},
        {"peft_type": None},
        {"unknown_option": {"a": 1}},
        {"bias": "all"},
        {"init_lora_weights": "pissa_niter_4"},
    )
    file.write_text(json.dumps(json.loads(file.read_text()) | random.choice(options)))


def _line_break(document: Document, random: Random) -> None:
    """A name that careless patterns take for another's."""
    name = random.choice([name for name in document if name.endswith(".weight")])
    document[f"{name}\n"] = document.pop(name)


CONFIGURATIONS: dict[str, Spoil] = {"configuration that is none": _configuration}
ADAPTERS: dict[str, Spoil] = {
    "options of an adapter that cannot be merged": _adapter_options,
    "factor whose name ends in a line break": in_document(_line_break),
}
