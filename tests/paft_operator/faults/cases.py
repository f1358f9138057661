"""All runs with faults, by keys that stay the same from one campaign to the next."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from random import Random

from tests.paft_operator.faults.bad_answers import BadAnswers, StaleLists
from tests.paft_operator.faults.crashes import Crash, Moment
from tests.paft_operator.faults.interference import Interference
from tests.paft_operator.faults.lanes import Lane
from tests.paft_operator.faults.leadership import Freeze, Overlap, Takeover
from tests.paft_operator.faults.life_cycle import Pace
from tests.paft_operator.faults.watch_faults import FaultAt, FaultsNowAndThen, WatchFault

WRITES = 72
"""No undisturbed life cycle has more writes; how much progress is told varies by a few."""
EVENTS = 118
"""No undisturbed life cycle has more watch events; they vary by a few, too."""
SURE = 0.85
"""Share of them that every life cycle gets to."""
SHARE = 0.2
"""Share of calls, lists or events that meet a fault where faults are drawn."""

STEADY: Mapping[str, object] = {"progress_interval": 0.05, "first_retry_interval": 2.0}
"""Settings of operators that have to get by without a resync. Undisturbed, they tell of the pause before a retry."""
RESYNCING: Mapping[str, object] = STEADY | {"resync_interval": 1.0, "request_timeout": 1.0, "retry_longest": 2.0}
"""Settings where something is lost that nothing but a resync finds again."""
LONG_LEASE: Mapping[str, object] = STEADY | {
    "election": True,
    "lease_duration": 60,
    "lease_renew_deadline": 40,
    "lease_retry_interval": 0.3,
}
"""Settings with which a leader that is cut off from its Lease goes on for the rest of a run."""
SHORT_LEASE: Mapping[str, object] = STEADY | {
    "election": True,
    "lease_duration": 3,
    "lease_renew_deadline": 2.2,
    "lease_retry_interval": 0.4,
}
"""Settings with which the Lease of a frozen leader runs out soon."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """One run. `key`: unique. `group`: row of the table of results."""

    key: str
    group: str
    pace: Pace = Pace.PATIENT
    settings: Mapping[str, object] = field(default_factory=lambda: STEADY, compare=False)

    operators: int = 1

    def interference(self, lane: Lane) -> Interference:
        """What happens."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True, slots=True)
class CrashCase(Case):
    """The operator is killed at a write."""

    number: int
    moment: Moment

    def interference(self, lane: Lane) -> Interference:
        return Crash(lane.operators[0], self.number, self.moment)


@dataclass(frozen=True, kw_only=True, slots=True)
class EventCase(Case):
    """One watch event meets a fault."""

    number: int
    fault: WatchFault

    def interference(self, lane: Lane) -> Interference:
        return FaultAt(self.fault, self.number, Random(self.key))


@dataclass(frozen=True, kw_only=True, slots=True)
class StormCase(Case):
    """Many watch events meet a fault, or calls, or lists."""

    fault: WatchFault | None = None

    def interference(self, lane: Lane) -> Interference:
        assert self.fault is not None
        return FaultsNowAndThen(self.fault, SHARE, Random(self.key))


@dataclass(frozen=True, kw_only=True, slots=True)
class AnswersCase(Case):
    """A fifth of all calls is not answered as it should be."""

    def interference(self, lane: Lane) -> Interference:
        return BadAnswers(SHARE, Random(self.key))


@dataclass(frozen=True, kw_only=True, slots=True)
class StaleCase(Case):
    """Lists tell what was true a while ago."""

    def interference(self, lane: Lane) -> Interference:
        return StaleLists(0.5, Random(self.key))


@dataclass(frozen=True, kw_only=True, slots=True)
class TakeoverCase(Case):
    """Two operators."""

    takeover: Takeover

    def interference(self, lane: Lane) -> Interference:
        random = Random(self.key)
        number = random.randint(1, int(SURE * WRITES))
        if self.takeover is Takeover.OVERLAP:
            return Overlap(lane.election, number)
        is_late = self.takeover is Takeover.FROZEN_LATE
        return Freeze(lane.election, lane.operators, number, random, is_late=is_late)


def sampled_cases() -> list[Case]:
    """A stratified sample: crashes all over the life cycle, each kind of fault, each kind of takeover."""
    return [*sampled_crashes(), *sampled_faults(), *takeover_cases(3)]


def sampled_crashes(count: int = 12) -> list[CrashCase]:
    """One in each part of the life cycle, before and after in turn."""
    crashes = list(crash_cases(2))
    random = Random("crashes")
    reached = int(SURE * WRITES)
    numbers = [1 + (part * reached + random.randrange(reached)) // count for part in range(count)]
    wanted = [(number, list(Moment)[part % 2], _pace(part // 2)) for part, number in enumerate(numbers)]
    return [case for case in crashes if (case.number, case.moment, case.pace) in wanted]


def sampled_faults() -> list[Case]:
    """Each fault at one event, somewhere in the life cycle, and at many; three of each kind of bad answers."""
    random = Random("events")
    numbers = {fault: random.randint(1, int(SURE * EVENTS)) for fault in WatchFault}
    single = [case for case in event_cases(1) if case.number == numbers[case.fault]]
    drawn = [case for case in drawn_cases(3) if not isinstance(case, StormCase) or case.key.split()[2] == "0"]
    return sorted([*single, *drawn], key=lambda case: len(case.settings))


def crash_cases(passes: int) -> Iterator[CrashCase]:
    """Before and after each write; in every second pass, pods are in a hurry."""
    for number in range(1, WRITES + 1):
        for moment in Moment:
            for turn in range(passes):
                pace = _pace(turn)
                key = f"crash {moment} {number} {pace} {turn}"
                yield CrashCase(key=key, group=f"crash {moment} write", pace=pace, number=number, moment=moment)


def event_cases(passes: int) -> Iterator[EventCase]:
    """Each fault at each event; from one to the next, and from pass to pass, pods change their pace."""
    for number in range(1, EVENTS + 1):
        for place, fault in enumerate(WatchFault):
            for turn in range(passes):
                pace = _pace(number + place + turn)
                yield EventCase(
                    key=f"event {fault} {number} {pace} {turn}",
                    group=f"one event: {fault}",
                    pace=pace,
                    settings=_settings(fault),
                    number=number,
                    fault=fault,
                )


def drawn_cases(seeds: int) -> Iterator[Case]:
    """Faults at a fifth of all events, calls or lists."""
    for seed in range(seeds):
        pace = _pace(seed)
        for fault in WatchFault:
            key = f"events {fault} {seed} {pace}"
            yield StormCase(key=key, group=f"many events: {fault}", pace=pace, settings=_settings(fault), fault=fault)
        yield AnswersCase(key=f"answers {seed} {pace}", group="bad answers", pace=pace, settings=RESYNCING)
        yield StaleCase(key=f"stale lists {seed} {pace}", group="stale lists", pace=pace, settings=RESYNCING)


def takeover_cases(count: int) -> Iterator[TakeoverCase]:
    """The three kinds in turn."""
    for seed in range(count):
        takeover = list(Takeover)[seed % 3]
        yield TakeoverCase(
            key=f"two operators {takeover} {seed}",
            group=f"two operators: {takeover}",
            settings=LONG_LEASE if takeover is Takeover.OVERLAP else SHORT_LEASE,
            operators=2,
            takeover=takeover,
        )


def _pace(turn: int) -> Pace:
    return (Pace.PATIENT, Pace.HURRIED)[turn % 2]


def _settings(fault: WatchFault) -> Mapping[str, object]:
    return RESYNCING if fault in (WatchFault.DROP, WatchFault.EXPIRE) else STEADY
