"""Finds reference log-probabilities in the object store and computes those that are missing, shared out over processes.

Shards are computed in rounds, one per process; each is written as soon as it is there, so that a run that is killed
loses at most one round. Under ZeRO-3 all processes have to run the same number of forward passes: one that has fewer
repeats its last.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
import torch.distributed as dist

from paft_trainer.errors import Diverged
from paft_trainer.training.batching.batching import Batching
from paft_trainer.training.batching.examples import PairForm
from paft_trainer.training.batching.passes import Passes
from paft_trainer.training.reference.shards import ReferenceShards, shard_rows

Rows = Sequence[Mapping[str, Any]]


class ReferencePass:
    """One set of pairs.

    `forward`: chosen and rejected log-probabilities, shape (2, pairs), of a pass's inputs. `waiting`: entered around
    what waits for the object store, here or on another process.
    """

    def __init__(
        self,
        rows: Rows,
        *,
        form: PairForm,
        batching: Batching,
        shards: ReferenceShards,
        forward: Callable[[dict[str, Any]], torch.Tensor],
        waiting: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self._rows = rows
        self._form = form
        self._batching = batching
        self._shards = shards
        self._forward = forward
        self._waiting = waiting
        self._process, self._processes = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)

    def run(self, *, should_stop: Callable[[], bool]) -> torch.Tensor | None:
        """All log-probabilities, fp32, shape (2, rows); None where it was stopped before all were there.

        `should_stop` is asked after each round, by all processes. Collective. Raises StorageError, and Diverged for
        values that are not finite.
        """
        ranges = shard_rows(len(self._rows))
        with self._waiting():
            found = self._find(ranges)
        missing = [rows for index, rows in enumerate(ranges) if found[index] is None]
        for first in range(0, len(missing), self._processes):
            found |= self._round(ranges, missing[first : first + self._processes])
            if should_stop():
                return None
        return torch.cat([found[index] for index in range(len(ranges))], dim=1)

    def _find(self, ranges: Sequence[range]) -> dict[int, Any]:
        """What the store has, by shard, on every process; read by the first."""
        read = [self._shards.read(rows) for rows in ranges] if self._process == 0 else None
        box = [read]
        if self._processes > 1:
            dist.broadcast_object_list(box, src=0)
        assert box[0] is not None
        return dict(enumerate(box[0]))

    def _round(self, ranges: Sequence[range], at_once: Sequence[range]) -> dict[int, torch.Tensor]:
        """One shard on each process, as far as there are any; the results of all."""
        plans = [self._plan(rows) for rows in at_once]
        passes = max(len(plan) for plan in plans)
        turn = min(self._process, len(plans) - 1)
        values = self._compute(at_once[turn], plans[turn], passes=passes)
        with self._waiting():
            result = {}
            if self._process == turn:
                result[ranges.index(at_once[turn])] = self._shards.publish(at_once[turn], values)
            return _of_all_processes(result, self._processes)

    def _plan(self, rows: range) -> Passes:
        (plan,) = self._batching.plan([self._form.tokens(dict(self._rows[row])) for row in rows], processes=1)
        return plan

    def _compute(self, rows: range, plan: Passes, *, passes: int) -> torch.Tensor:
        values = torch.full((2, len(rows)), torch.nan)
        for number in range(passes):
            positions = plan[min(number, len(plan) - 1)]
            pairs = [self._rows[rows[position]] for position in positions]
            values[:, positions] = self._forward(self._batching.lay_out(self._form.sequences(pairs))).float().cpu()
        if not bool(values.isfinite().all()):
            raise Diverged(
                f"the base gives pairs {rows.start + 1} to {rows.stop} log-probabilities that are not finite",
                remedy="Check the base: its weights hold NaN or infinite values, or overflow in this precision.",
            )
        return values


def _of_all_processes(mine: dict[int, torch.Tensor], processes: int) -> dict[int, torch.Tensor]:
    if processes == 1:
        return mine
    gathered: list[Any] = [None] * processes
    dist.all_gather_object(gathered, mine)
    return {index: values for one in gathered for index, values in one.items()}
