"""Which fault a trial has, in which world, and when: drawn from the trial's name alone, so that it can be repeated."""

from dataclasses import dataclass
from enum import StrEnum
from random import Random

from paft_api.stages import StageName

STEPS = 12
SAVE_STEPS = 3
GLOBAL_BATCH = 12
LOADING = -1
"""The moment before the first step, from the time that ranks have begun."""
LONGEST_DELAY_SECONDS = 0.1
"""About as long as a step takes, so that a fault comes at any moment of it."""
_SAME_WORLD = 0.4
"""Share of trials that go on in the world in which they began, and have to end with the same bytes."""


class Kind(StrEnum):
    """What goes wrong."""

    RANK_KILLED = "rank killed"
    STOPPED = "SIGTERM"
    HANG = "hang"
    NAN = "NaN"
    TORN = "torn checkpoint"
    FULL_DISK = "full disk"
    LOST_PEER = "lost peer"


VARIANTS: dict[Kind, tuple[str, ...]] = {
    Kind.RANK_KILLED: ("SIGKILL",),
    Kind.STOPPED: ("SIGTERM to the launcher",),
    Kind.HANG: ("SIGSTOP",),
    Kind.NAN: ("loss nan", "gradient nan", "loss inf", "gradient inf"),
    Kind.TORN: ("file cut off", "file gone", "file half written", "manifest half written", "manifest gone"),
    Kind.FULL_DISK: ("scratch", "artifacts"),
    Kind.LOST_PEER: ("node 0", "node 1"),
}

_MOMENTS: dict[Kind, range] = {
    Kind.RANK_KILLED: range(LOADING, STEPS),
    Kind.STOPPED: range(LOADING, STEPS),
    # The bound follows from steps that were seen, and the end of training has another one.
    Kind.HANG: range(2, STEPS - 3),
    # The step whose loss or gradient it is.
    Kind.NAN: range(1, STEPS + 1),
    Kind.TORN: range(SAVE_STEPS, STEPS),
    Kind.FULL_DISK: range(LOADING, STEPS),
    Kind.LOST_PEER: range(LOADING, STEPS),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Nodes:
    """A world: so many nodes with so many processes each."""

    nodes: int
    processes: int

    @property
    def ranks(self) -> int:
        """Processes of all nodes."""
        return self.nodes * self.processes


@dataclass(frozen=True, kw_only=True, slots=True)
class Trial:
    """One fault. `before`, `after`: the worlds that meet it and go on. `moment`: optimizer steps done by then.

    `delay`: seconds from that moment on. `victim`: a rank of `before`.
    """

    kind: Kind
    number: int
    stage: StageName
    before: Nodes
    after: Nodes
    moment: int
    delay: float
    victim: int
    variant: str

    @property
    def key(self) -> str:
        """Unique in the campaign."""
        return f"{self.kind} {self.number}"

    @property
    def group(self) -> str:
        """The row of the table."""
        return str(self.kind)

    @property
    def draws(self) -> Random:
        """For choices that depend on what is there; always the same ones."""
        return Random(f"{self.key}, later")


def drawn(kind: Kind, number: int) -> Trial:
    """Trials of a kind take turns with arms and with the ranks that go on; all else is drawn."""
    draws = Random(f"{kind} {number}")
    before = after = _drawn_world(kind, draws)
    if draws.random() >= _SAME_WORLD or kind is Kind.LOST_PEER:
        after = _world_of(number // 2 % 4 + 1, draws)
    return Trial(
        kind=kind,
        number=number,
        stage=(StageName.SFT, StageName.PREFERENCE)[number % 2],
        before=before,
        after=after,
        moment=draws.choice(_MOMENTS[kind]),
        delay=draws.uniform(0, LONGEST_DELAY_SECONDS),
        victim=draws.randrange(before.ranks),
        variant=VARIANTS[kind][number // 2 % len(VARIANTS[kind])],
    )


def _drawn_world(kind: Kind, draws: Random) -> Nodes:
    if kind is Kind.LOST_PEER:
        return Nodes(nodes=2, processes=draws.randint(1, 2))
    return Nodes(nodes=1, processes=draws.randint(1, 4))


def _world_of(ranks: int, draws: Random) -> Nodes:
    nodes = draws.choice((1, 2)) if ranks % 2 == 0 else 1
    return Nodes(nodes=nodes, processes=ranks // nodes)
