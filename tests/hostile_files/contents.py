"""Damage that leaves files readable: only a comparison with what was published finds it."""

import json
import shutil
from pathlib import Path
from random import Random

from tests.hostile_files.folders import CLAIM, MANIFESTS, Content, publish
from tests.hostile_files.headers import Spoil, split, weights_of

_UNLISTED = (CLAIM, *MANIFESTS.values())


def _others(folder: Path) -> list[Path]:
    """Files beside the weights that a manifest or an index lists."""
    return sorted(path for path in folder.iterdir() if path.suffix != ".safetensors" and path.name not in _UNLISTED)


def flip(file: Path, random: Random, *, begin: int = 0) -> None:
    """Flip one bit from `begin` on."""
    content = bytearray(file.read_bytes())
    content[random.randrange(begin, len(content))] ^= 1 << random.randrange(8)
    file.write_bytes(content)


def _flip_data(folder: Path, random: Random) -> None:
    file = random.choice(weights_of(folder))
    header, _ = split(file)
    flip(file, random, begin=8 + len(header))


def _flip_anywhere(folder: Path, random: Random) -> None:
    flip(random.choice(weights_of(folder)), random)


def _flip_other(folder: Path, random: Random) -> None:
    flip(random.choice(_others(folder)), random)


def _truncate_weights(folder: Path, random: Random) -> None:
    file = random.choice(weights_of(folder))
    size = file.stat().st_size
    file.write_bytes(file.read_bytes()[: random.choice((0, 4, 8, size // 2, size - 1, random.randrange(size)))])


def _truncate_other(folder: Path, random: Random) -> None:
    file = random.choice(_others(folder))
    file.write_bytes(file.read_bytes()[: random.randrange(file.stat().st_size)])


def _append(folder: Path, random: Random) -> None:
    file = random.choice(weights_of(folder))
    file.write_bytes(
        file.read_bytes() + random.choice((b"\0", b"\0" * 8, random.randbytes(random.randrange(1, 5_000))))
    )


def _remove_weights(folder: Path, random: Random) -> None:
    random.choice(weights_of(folder)).unlink()


def _remove_other(folder: Path, random: Random) -> None:
    random.choice(_others(folder)).unlink()


def _swap(folder: Path, random: Random) -> None:
    first, second = random.sample(weights_of(folder), 2)
    contents = first.read_bytes(), second.read_bytes()
    second.write_bytes(contents[0])
    first.write_bytes(contents[1])


def _copy_over(folder: Path, random: Random) -> None:
    first, second = random.sample(weights_of(folder), 2)
    shutil.copyfile(first, second)


def _rename(folder: Path, random: Random) -> None:
    file = random.choice(weights_of(folder))
    file.rename(file.with_name("model-00042-of-00042.safetensors"))


def _extra_shard(folder: Path, random: Random) -> None:
    name = random.choice(("model-00009-of-00008.safetensors", "model-00001-of-00099.safetensors"))
    shutil.copyfile(random.choice(weights_of(folder)), folder / name)


def _extra_file(folder: Path, random: Random) -> None:
    (folder / random.choice(("pytorch_model.bin", "other.safetensors", "modeling.py", "vocab.txt"))).write_bytes(b"x")


def _zeros(folder: Path, random: Random) -> None:
    """A block that never arrived."""
    file = random.choice(weights_of(folder))
    header, data = split(file)
    size = random.randrange(8, max(9, len(data) // 2))
    place = random.randrange(len(data) - size)
    changed = data[:place] + bytes(size) + data[place + size :]
    assert changed != data
    file.write_bytes(file.read_bytes()[: 8 + len(header)] + changed)


def _exchange_blocks(folder: Path, random: Random) -> None:
    # Norms are all ones: there it would change nothing.
    file = random.choice([file for file in weights_of(folder) if len({*split(file)[1]}) > 10])
    header, data = split(file)
    size = random.choice((16, 64))
    places = [place for place in range(0, len(data) - size, size) if data[place : place + size] != data[-size:]]
    place = random.choice(places)
    changed = data[:place] + data[-size:] + data[place + size : -size] + data[place : place + size]
    assert changed != data
    file.write_bytes(file.read_bytes()[: 8 + len(header)] + changed)


CONTENTS: dict[str, Spoil] = {
    "bit flipped in a tensor": _flip_data,
    "bit flipped in a weights file": _flip_anywhere,
    "bit flipped in another file": _flip_other,
    "weights cut off": _truncate_weights,
    "another file cut off": _truncate_other,
    "bytes appended to weights": _append,
    "weights missing": _remove_weights,
    "another file missing": _remove_other,
    "weights under another name": _rename,
    "block of zeros": _zeros,
    "blocks exchanged": _exchange_blocks,
}
SHARDS: dict[str, Spoil] = {
    "two shards swapped": _swap,
    "shard over another": _copy_over,
    "extra shard": _extra_shard,
}
EXTRAS: dict[str, Spoil] = {"extra file that readers load": _extra_file}


def replaced_weights(other: Content) -> Spoil:
    """Weights of another model with the same shapes."""

    def spoil(folder: Path, random: Random) -> None:
        file = random.choice(weights_of(folder))
        file.write_bytes(other[file.name])

    return spoil


def _manifest_file(folder: Path) -> Path:
    return next(folder / name for name in MANIFESTS.values() if (folder / name).exists())


def _flip_manifest(folder: Path, random: Random) -> None:
    flip(_manifest_file(folder), random)


def _no_manifest(folder: Path, random: Random) -> None:
    _manifest_file(folder).unlink()


def _wrong_manifest(folder: Path, random: Random) -> None:
    file = _manifest_file(folder)
    manifest = json.loads(file.read_bytes())
    name = random.choice(sorted(manifest["files"]))
    entry = manifest["files"][name]
    match random.randrange(6):
        case 0:
            manifest["files"][random.choice(("../../etc/passwd", "/etc/passwd", "a/../../b", "", "."))] = entry
        case 1:
            manifest["files"][name] = random.choice((None, {}, 7, {**entry, "size": -1}, {**entry, "sha256": "x"}))
        case 2:
            entry["size"] += 1
        case 3:
            del manifest["files"][name]
        case 4:
            manifest["files"] = random.choice((None, {}, [], "all"))
        case _:
            manifest["digest"] = random.choice((None, "sha256:", f"sha256:{'0' * 64}", 7))
    file.write_text(json.dumps(manifest))


def _hostile_manifest(folder: Path, random: Random) -> None:
    texts = ("[" * 100_000, "NaN", '{"digest": NaN}', "{}", "[]", "", '{"files": {}, "files": {}}', "\ufeff{}")
    _manifest_file(folder).write_text(random.choice(texts), encoding="utf-8")


def _other_claim(folder: Path, random: Random) -> None:
    other = {"recipeDigest": f"sha256:{'1' * 64}", "digest": f"sha256:{'1' * 64}"}
    claims = (other, {}, {"merge": {"method": "linear"}})
    (folder / CLAIM).write_text(random.choice((*map(json.dumps, claims), "[]", "{", "[" * 100_000)))


def _published_anew(folder: Path, random: Random) -> None:
    """Changed, and manifest and claim with it: only who knows the digest can find it."""
    flip_in = random.choice(weights_of(folder))
    header, _ = split(flip_in)
    flip(flip_in, random, begin=8 + len(header))
    manifest = json.loads(_manifest_file(folder).read_bytes())
    content = {path.name: path.read_bytes() for path in folder.iterdir()}
    extra = {name: manifest[name] for name in manifest.keys() - {"kind", "digest", "files", "versions"}}
    for name, data in publish(content, manifest["kind"], extra).items():
        (folder / name).write_bytes(data)


MANIFEST_CHANGES: dict[str, Spoil] = {
    "manifest missing": _no_manifest,
    "manifest that differs": _wrong_manifest,
    "manifest that is none": _hostile_manifest,
    "claim of another": _other_claim,
    "published anew with other weights": _published_anew,
}
FLIPPED_MANIFEST: dict[str, Spoil] = {"bit flipped in the manifest": _flip_manifest}
