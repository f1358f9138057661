"""The queue's guarantees, each with the moment at which it would break."""

import asyncio

import pytest

from paft_operator.reconciling.work_queue import WorkQueue


def test_a_key_waits_once_however_often_it_is_added() -> None:
    async def scenario() -> None:
        queue: WorkQueue[str] = WorkQueue()
        for _ in range(3):
            queue.add("a")
        queue.add("b")

        assert len(queue) == 2
        assert [await queue.get(), await queue.get()] == ["a", "b"]
        assert len(queue) == 0

    asyncio.run(scenario())


def test_a_key_in_work_is_not_handed_out_again_before_it_is_done() -> None:
    async def scenario() -> None:
        queue: WorkQueue[str] = WorkQueue()
        queue.add("a")
        await queue.get()
        queue.add("a")
        queue.add("a")

        assert len(queue) == 0
        queue.done("a")
        assert len(queue) == 1
        assert await queue.get() == "a"
        queue.done("a")
        assert len(queue) == 0

    asyncio.run(scenario())


def test_every_key_that_is_added_is_worked_on_by_one_worker_at_a_time() -> None:
    async def scenario() -> None:
        queue: WorkQueue[int] = WorkQueue()
        in_work: set[int] = set()
        seen: list[int] = []

        async def worker() -> None:
            while True:
                key = await queue.get()
                assert key not in in_work
                in_work.add(key)
                await asyncio.sleep(0)
                in_work.remove(key)
                seen.append(key)
                queue.done(key)

        workers = [asyncio.create_task(worker()) for _ in range(4)]
        for number in range(200):
            queue.add(number % 7)
            if number % 3 == 0:
                await asyncio.sleep(0)
        await asyncio.sleep(0.05)
        for task in workers:
            task.cancel()

        assert set(seen) == set(range(7))
        assert len(queue) == 0
        assert not any(task.done() and not task.cancelled() for task in workers)

    asyncio.run(scenario())


def test_of_several_later_times_the_earliest_counts() -> None:
    async def scenario() -> None:
        queue: WorkQueue[str] = WorkQueue()
        queue.add_after("a", 60)
        queue.add_after("a", 0.01)
        queue.add_after("a", 30)

        assert await asyncio.wait_for(queue.get(), 1) == "a"

    asyncio.run(scenario())


def test_pauses_after_failures_double_up_to_a_limit_and_begin_anew_after_success() -> None:
    async def scenario() -> None:
        queue: WorkQueue[str] = WorkQueue(first_pause=0.1, longest_pause=0.5)

        assert [queue.add_rate_limited("a") for _ in range(5)] == pytest.approx([0.1, 0.2, 0.4, 0.5, 0.5])
        assert queue.add_rate_limited("b") == pytest.approx(0.1)
        queue.forget_failures("a")
        assert queue.add_rate_limited("a") == pytest.approx(0.1)
        assert queue.add_rate_limited("a", at_least=7.0) == pytest.approx(7.0)

    asyncio.run(scenario())


def test_a_failed_key_comes_back_after_its_pause_and_at_once_where_something_happens() -> None:
    async def scenario() -> None:
        queue: WorkQueue[str] = WorkQueue(first_pause=0.02)
        queue.add_rate_limited("a")
        assert len(queue) == 0
        queue.add("a")
        assert await queue.get() == "a"
        queue.done("a")

        assert await asyncio.wait_for(queue.get(), 1) == "a"

    asyncio.run(scenario())


def test_what_is_forgotten_does_not_come_back() -> None:
    async def scenario() -> None:
        queue: WorkQueue[str] = WorkQueue(first_pause=0.01)
        queue.add_rate_limited("a")
        queue.forget("a")
        await asyncio.sleep(0.05)

        assert len(queue) == 0
        assert queue.add_rate_limited("a") == pytest.approx(0.01)

    asyncio.run(scenario())


def test_it_is_drained_when_no_key_waits_and_none_is_in_work() -> None:
    async def scenario() -> None:
        queue: WorkQueue[str] = WorkQueue()
        queue.add_after("later", 60)
        await queue.drained()
        queue.add("a")
        drained = asyncio.create_task(queue.drained())
        assert await queue.get() == "a"
        queue.add("a")
        queue.done("a")
        await asyncio.sleep(0)
        assert not drained.done()
        queue.done(await queue.get())
        await drained

    asyncio.run(scenario())
