"""Memory that streamed writes share."""

import threading
from concurrent.futures import Future

from paft_trainer.storage.part_buffers import PartBuffers


def test_no_more_bytes_are_under_way_than_allowed() -> None:
    buffers = PartBuffers(bytes_under_way=20)
    is_free, sent = threading.Event(), threading.Semaphore(0)

    def send() -> int:
        sent.release()
        is_free.wait()
        return 1

    futures = [buffers.submit(send, 10), buffers.submit(send, 10)]
    third: list[Future[int]] = []
    thread = threading.Thread(target=lambda: third.append(buffers.submit(send, 10)))
    thread.start()
    thread.join(0.2)
    assert thread.is_alive()
    is_free.set()
    thread.join(10)
    assert [future.result(10) for future in futures + third] == [1, 1, 1]


def test_a_part_larger_than_the_bound_is_sent_alone() -> None:
    assert PartBuffers(bytes_under_way=20).submit(lambda: "sent", 100).result(10) == "sent"


def test_buffers_are_used_again_and_not_too_many_kept() -> None:
    buffers = PartBuffers(bytes_under_way=20)
    first = buffers.take(10)
    buffers.give_back(first)
    assert buffers.take(10) is first
    for _ in range(5):
        buffers.give_back(bytearray(10))
    assert len(buffers._free) == 2
