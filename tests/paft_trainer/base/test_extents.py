"""Extents of made-up bases, of which only the hashes are looked at."""

import random

from hypothesis import given
from hypothesis import strategies as st

from paft_trainer.base.extents import EXTENT_BYTES, Extents
from paft_trainer.base.piece_index import LARGEST_PIECE_BYTES, IndexedTensor, PieceIndex, PieceRun, piece_bytes_of

MIB = 1024**2
SIZES = st.lists(
    st.one_of(st.integers(0, 5_000), st.integers(0, 40 * MIB), st.integers(1000 * MIB, 1100 * MIB)), max_size=8
)


def made_up(sizes_of_file: dict[str, list[int]], *, seed: int = 0) -> PieceIndex:
    """Tensors without content. The same seed, name and size give the same hashes, in whichever file they lie."""
    tensors = {}
    number = 0
    for file, sizes in sizes_of_file.items():
        start = 8
        for size in sizes:
            step = piece_bytes_of(size)
            hashes = random.Random(f"{seed} {number} {size}").randbytes(32 * -(-size // step))
            name = f"t{number}"
            tensors[name] = IndexedTensor(
                name=name,
                file=file,
                dtype="U8",
                shape=(size,),
                start=start,
                size=size,
                piece_bytes=step,
                sha256="",
                hashes=hashes,
            )
            start += size
            number += 1
    return PieceIndex(base_digest="sha256:0", files={}, tensors=tensors)


def pieces(runs: list[PieceRun]) -> list[tuple[str, int]]:
    return sorted((run.tensor.name, piece) for run in runs for piece in range(run.first, run.first + run.count))


@given(st.data())
def test_each_piece_lies_in_one_extent_and_is_found_there(data: st.DataObject) -> None:
    index = made_up({"f": data.draw(SIZES), "g": data.draw(SIZES)})
    extents = Extents(index)
    everything = extents.holding([tensor.all_pieces for tensor in index.tensors.values()])
    assert pieces([run for extent, _ in everything for run in extent.runs]) == pieces(
        [tensor.all_pieces for tensor in index.tensors.values()]
    )
    assert all(pieces(wanted) == pieces([*extent.runs]) for extent, wanted in everything)
    assert extents.names == {extent.name for extent, _ in everything}
    last = {extent.runs[-1].tensor.file: extent for extent, _ in everything}
    for extent, _ in everything:
        assert extent.size == sum(run.size for run in extent.runs)
        assert extent.size < EXTENT_BYTES + LARGEST_PIECE_BYTES
        assert extent.size >= EXTENT_BYTES or extent is last[extent.runs[0].tensor.file]


@given(st.data())
def test_what_is_wanted_is_found_in_the_extents_and_nothing_else(data: st.DataObject) -> None:
    index = made_up({"f": data.draw(SIZES), "g": data.draw(SIZES)})
    runs = []
    for tensor in index.tensors.values():
        start = data.draw(st.integers(0, tensor.size))
        runs.append(tensor.covering(start, data.draw(st.integers(start, tensor.size))))
    held = Extents(index).holding(data.draw(st.permutations(runs)))
    assert pieces([run for _, wanted in held for run in wanted]) == pieces(runs)
    for extent, wanted in held:
        assert {*pieces(wanted)} <= {*pieces([*extent.runs])}
        assert wanted != []


def test_names_tell_content_and_not_files() -> None:
    sizes = [20 * MIB, 20 * MIB]
    one = Extents(made_up({"model.safetensors": sizes}))
    assert Extents(made_up({"renamed.safetensors": sizes})).names == one.names
    assert not Extents(made_up({"model.safetensors": sizes}, seed=1)).names & one.names
    assert len(one.names) == 3
    sharded = Extents(made_up({"1.safetensors": sizes[:1], "2.safetensors": sizes[1:]}))
    assert len(sharded.names) == 4
    assert len(sharded.names & one.names) == 1
