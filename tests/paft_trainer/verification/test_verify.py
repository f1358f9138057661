"""Real merges, adapters and bases, whole and spoilt, on both kinds of storage."""

import json
import threading
from pathlib import Path
from typing import Any

import pytest
from tests.hostile_files.folders import ADAPTER, publish, read_folder
from tests.merges import folder_uri, merge_run_spec, run_merge
from tests.tiny_models import build_adapter, build_checkpoint

from paft_api.spec.storage import StorageSpec
from paft_api.verification import Verification
from paft_trainer.base.index import index_base
from paft_trainer.errors import ConfigInvalid
from paft_trainer.read_ahead import CHUNK_BYTES, FILES_AT_ONCE, ReadAhead
from paft_trainer.storage import ObjectMissing, ObjectStore, open_store
from paft_trainer.storage.file_store import FileStore, uri_of
from paft_trainer.verification import verify

OTHER = f"sha256:{'0' * 64}"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base, adapters, and a merge with a candidate."""
    root = tmp_path_factory.mktemp("verify")
    base = build_checkpoint(root / "base", "llama", max_shard_size="60KB")
    build_adapter(root / "sft", base, seed=1)
    build_adapter(root / "preference", base, seed=2)
    folders = {name: folder_uri(root / name) for name in ("base", "sft", "preference")}
    spec = merge_run_spec(
        **folders, output=folder_uri(root / "merged"), artifacts=folder_uri(root / "none"), max_shard_size="60KB"
    )
    assert spec.merge is not None
    document = json.loads(spec.to_json())
    document["merge"]["spec"]["candidates"] = [{"name": "plain", "method": "linear"}]
    run_merge(type(spec).model_validate_json(json.dumps(document)))
    return root


@pytest.fixture
def store(storage: StorageSpec) -> ObjectStore:
    return open_store(storage)


def upload(folder: Path, store: ObjectStore, storage: StorageSpec, name: str) -> str:
    """The folder's address in the store."""
    uri = f"{storage.artifacts_uri}{name}/"
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            store.put(f"{uri}{path.relative_to(folder)}", path.read_bytes())
    return uri


def check(store: ObjectStore, storage: StorageSpec, uri: str, **options: Any) -> Verification:
    return verify(store, uri, artifacts_uri=storage.artifacts_uri, **options)


def problems(verification: Verification) -> list[tuple[str, str]]:
    return [(problem.file, problem.kind.value) for folder in verification.folders for problem in folder.problems]


def test_a_merge_with_its_candidate_is_sound_and_every_byte_was_read(
    root: Path, store: ObjectStore, storage: StorageSpec
) -> None:
    heard: list[int] = []
    uri = upload(root / "merged", store, storage, "merged")
    verification = check(store, storage, uri, on_bytes=heard.append)
    main, candidate = verification.folders
    assert verification.is_sound
    assert (main.kind, candidate.kind, candidate.uri) == ("merge", "merge", f"{uri}candidates/plain/")
    manifest = json.loads(store.read(f"{uri}merge_manifest.json"))
    assert main.digest == manifest["digest"]
    assert (main.files, main.bytes) == (len(manifest["files"]), sum(one["size"] for one in manifest["files"].values()))
    assert main.files > 8
    assert sum(heard) == main.bytes + candidate.bytes
    assert main.unlisted == candidate.unlisted == ()
    assert check(store, storage, uri, expected_digest=main.digest).is_sound
    assert problems(check(store, storage, uri, expected_digest=OTHER)) == [("merge_manifest.json", "Digest")]


def test_damage_is_told_by_file(root: Path, store: ObjectStore, storage: StorageSpec) -> None:
    uri = upload(root / "merged", store, storage, "merged")
    shards = sorted(info.uri for info in store.list(f"{uri}model-"))
    first, second, third = (store.read(shard) for shard in shards[:3])
    store.put(shards[0], second)
    store.put(shards[1], first)
    store.put(shards[2], third[:-1])
    store.delete(f"{uri}tokenizer.json")
    store.put(f"{uri}model-00009-of-00008.safetensors", first)
    config = f"{uri}candidates/plain/config.json"
    store.put(config, store.read(config).replace(b"llama", b"LLama", 1))
    names = [shard.removeprefix(uri) for shard in shards]
    assert sorted(problems(check(store, storage, uri))) == sorted(
        [
            (names[0], "Swapped"),
            (names[1], "Swapped"),
            (names[2], "Size"),
            ("model-00009-of-00008.safetensors", "Extra"),
            ("tokenizer.json", "Missing"),
            ("config.json", "Content"),
        ]
    )


def test_an_unfinished_merge_is_told_as_such(root: Path, store: ObjectStore, storage: StorageSpec) -> None:
    uri = upload(root / "merged", store, storage, "merged")
    store.delete(f"{uri}merge_manifest.json")
    found = check(store, storage, uri)
    (problem,) = found.folders[0].problems
    assert problem.message == "it is not there, although paft_claim.json is: the folder is unfinished, or lost it"
    assert problem.remedy == "Run the same merge again; it finishes the folder and writes the manifest last."


def test_a_claim_of_another_recipe_is_told(root: Path, store: ObjectStore, storage: StorageSpec) -> None:
    uri = upload(root / "merged", store, storage, "merged")
    store.put(f"{uri}paft_claim.json", json.dumps({"recipeDigest": OTHER}).encode())
    assert problems(check(store, storage, uri)) == [("paft_claim.json", "Claim")]
    store.delete(f"{uri}paft_claim.json")
    assert check(store, storage, uri).is_sound


def published_with(content: dict[str, bytes], folder: Path) -> str:
    folder.mkdir()
    for name, data in publish(content, "merge", {"recipeDigest": OTHER}).items():
        (folder / name).write_bytes(data)
    return folder_uri(folder)


def test_an_index_that_lies_is_told_although_it_is_what_was_published(
    root: Path, tmp_path: Path, local_storage: StorageSpec
) -> None:
    content = {path.name: path.read_bytes() for path in (root / "merged").iterdir() if path.is_file()}
    index = json.loads(content["model.safetensors.index.json"])
    files = sorted({*index["weight_map"].values()})
    index["weight_map"] |= {f"no.{number}": files[0] for number in range(15)}
    moved = next(name for name, file in index["weight_map"].items() if file == files[0])
    index["weight_map"][moved] = files[1]
    content["model.safetensors.index.json"] = json.dumps(index).encode()
    found = check(FileStore(), local_storage, published_with(content, tmp_path / "lying"))
    messages = [problem.message for problem in found.folders[0].problems]
    assert messages[0] == f"{moved} is said to lie in {files[1]}, but lies in {files[0]}"
    assert messages[1] == f"no.0 is said to lie in {files[0]}, but no file has it"
    assert (len(messages), messages[-1]) == (11, "and 6 more")


def test_weights_that_were_broken_when_they_were_published_are_told(
    root: Path, tmp_path: Path, local_storage: StorageSpec
) -> None:
    content = {path.name: path.read_bytes() for path in (root / "sft").iterdir()}
    content["adapter_model.safetensors"] = content["adapter_model.safetensors"][:-1]
    found = check(FileStore(), local_storage, published_with(content, tmp_path / "broken"))
    assert problems(found) == [("adapter_model.safetensors", "Format")]


def test_a_published_adapter(root: Path, store: ObjectStore, storage: StorageSpec, tmp_path: Path) -> None:
    content = publish(read_folder(root / "sft"), "adapter", {"baseDigest": OTHER})
    uri = f"{storage.artifacts_uri}{ADAPTER}/"
    for name, data in content.items():
        store.put(uri + name, data)
    store.put(f"{uri}attempts/uid-1/adapter/adapter_model.safetensors", b"another attempt's own")
    assert check(store, storage, uri).is_sound
    store.put(f"{uri}adapter_model.safetensors", content["adapter_model.safetensors"][::-1])
    assert problems(check(store, storage, uri)) == [("adapter_model.safetensors", "Content")]


def test_a_base_against_its_index(root: Path, store: ObjectStore, storage: StorageSpec) -> None:
    uri = upload(root / "base", store, storage, "base")
    digest = index_base(store, uri, storage.artifacts_uri).digest
    store.put(f"{storage.artifacts_uri}index/{'f' * 64}.json", b'{"digest": "of data"}')
    sound = check(store, storage, uri)
    assert sound.is_sound
    assert (sound.folders[0].kind, sound.folders[0].digest) == ("base", digest)
    shards = sorted(info.uri for info in store.list(f"{uri}model-"))
    first, second = (store.read(shard) for shard in shards[:2])
    store.put(shards[0], first[:-1] + bytes([first[-1] ^ 1]))
    store.put(f"{uri}pytorch_model.bin", b"of no base")
    assert problems(check(store, storage, uri)) == [(shards[0].removeprefix(uri), "Content")]
    store.put(shards[0], second)
    store.put(shards[1], first)
    swapped = [(shard.removeprefix(uri), "Swapped") for shard in shards[:2]]
    assert problems(check(store, storage, uri)) == swapped
    store.delete(shards[1])
    store.put(shards[0], first)
    assert problems(check(store, storage, uri)) == [(shards[1].removeprefix(uri), "Missing")]


def test_a_base_against_a_digest_alone(root: Path, tmp_path: Path) -> None:
    nothing = folder_uri(tmp_path / "nothing")
    digest = index_base(FileStore(), folder_uri(root / "base"), None).digest
    assert verify(FileStore(), folder_uri(root / "base"), artifacts_uri=nothing, expected_digest=digest).is_sound
    found = verify(FileStore(), folder_uri(root / "base"), artifacts_uri=nothing, expected_digest=OTHER)
    assert [problem.message for problem in found.folders[0].problems] == [
        f"the base has the digest {digest}, but {OTHER} is wanted"
    ]


def test_where_there_is_nothing_to_compare_with_it_says_what_to_give(root: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid, match="has no manifest, and no index in") as caught:
        verify(FileStore(), folder_uri(root / "base"), artifacts_uri=folder_uri(tmp_path / "nothing"))
    assert "--artifacts" in caught.value.remedy
    with pytest.raises(ObjectMissing, match="is empty or does not exist"):
        verify(FileStore(), folder_uri(tmp_path / "no folder"), artifacts_uri=folder_uri(tmp_path / "nothing"))


class CountingStore(FileStore):
    """Counts the pieces that are held by nobody but their reader: those asked for and not yet given on."""

    def __init__(self) -> None:
        super().__init__()
        self.lock = threading.Lock()
        self.sizes: list[int] = []

    def read_range(self, uri: str, start: int, size: int, *, etag: str | None = None) -> bytes:
        with self.lock:
            self.sizes.append(size)
        return super().read_range(uri, start, size, etag=etag)


def test_no_more_than_two_pieces_of_a_file_are_asked_for_ahead(tmp_path: Path) -> None:
    with (tmp_path / "f").open("wb") as file:
        file.truncate(5 * CHUNK_BYTES + 7)
    store = CountingStore()
    with ReadAhead(store) as reads:
        seen = []
        for chunk in reads.chunks(uri_of(tmp_path / "f"), 3, 5 * CHUNK_BYTES):
            seen.append(len(chunk))
            assert len(store.sizes) <= len(seen) + 1
    assert seen == store.sizes == [CHUNK_BYTES] * 5
    assert FILES_AT_ONCE * 3 * CHUNK_BYTES <= 96 * 1024 * 1024
