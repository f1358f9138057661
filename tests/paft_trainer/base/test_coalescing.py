"""Requests for runs of pieces."""

from hypothesis import given
from hypothesis import strategies as st
from tests.paft_trainer.base.test_piece_index import tensor_of

from paft_trainer.base.coalescing import BRIDGED_SHARE, plan_requests
from paft_trainer.base.piece_index import IndexedTensor, PieceRun

Range = tuple[str, int, int]


def laid_out(sizes: dict[str, list[int]], step: int) -> list[IndexedTensor]:
    """Tensors one after the other in their files."""
    tensors = []
    for file, its_sizes in sizes.items():
        start = 100
        for number, size in enumerate(its_sizes):
            tensors.append(tensor_of(bytes(size), piece_bytes=step, start=start, file=file, name=f"{file}.{number}"))
            start += size
    return tensors


def pieces_of(runs: list[PieceRun]) -> list[Range]:
    pieces = [(run.tensor.name, piece, piece + 1) for run in runs for piece in range(run.first, run.first + run.count)]
    return sorted(pieces)


@given(st.data())
def test_every_piece_is_asked_for_once_and_hardly_anything_else(data: st.DataObject) -> None:
    step = data.draw(st.sampled_from([1, 4, 16]))
    most = data.draw(st.integers(16, 300))
    sizes = st.lists(st.integers(0, 400), min_size=1, max_size=6)
    runs = []
    for tensor in laid_out({file: data.draw(sizes) for file in ("f", "g")}, step):
        borders = data.draw(st.lists(st.integers(0, tensor.pieces), max_size=6).map(sorted))
        for first, stop in zip(borders[::2], borders[1::2], strict=False):
            runs.append(PieceRun(tensor=tensor, first=first, count=stop - first))
    runs = data.draw(st.permutations(runs))
    requests = plan_requests(runs, most_bytes=most)
    assert pieces_of([run for request in requests for run in request.runs]) == pieces_of(runs)
    wanted = sum(run.size for run in runs)
    assert sum(request.stop - request.start for request in requests) <= wanted * (1 + BRIDGED_SHARE)
    for request in requests:
        assert 0 < request.stop - request.start <= most
        assert {run.tensor.file for run in request.runs} == {request.file}
        content = memoryview(bytes(position % 251 for position in range(request.start, request.stop)))
        for run in request.runs:
            assert request.part_of(run, content) == bytes(
                position % 251 for position in range(run.file_start, run.file_stop)
            )


def test_neighbours_share_a_request_where_there_is_room_for_both() -> None:
    tensors = laid_out({"f": [30, 10, 30, 50]}, 10)
    requests = plan_requests([tensor.all_pieces for tensor in tensors], most_bytes=60)
    assert [(request.start, request.stop) for request in requests] == [(100, 140), (140, 170), (170, 220)]


def test_the_smallest_gaps_are_bridged_as_far_as_the_share_goes() -> None:
    (tensor,) = laid_out({"f": [1000]}, 1)
    wanted = [(0, 300), (302, 600), (603, 900), (909, 1000)]
    runs = [PieceRun(tensor=tensor, first=start, count=stop - start) for start, stop in wanted]
    requests = plan_requests(runs, most_bytes=2000)
    assert [(request.start - 100, request.stop - 100) for request in requests] == [(0, 900), (909, 1000)]
