"""What the driver saw of one load."""

import json
from dataclasses import asdict, dataclass, field


@dataclass(kw_only=True)
class Outcome:
    """Times in seconds.

    `reports`, `jobs`: from a changed report, and from the end of a Job, to the status that tells it. `own_writes`: what
    the changes themselves took. `held_back`: changes that were not made, as no PaftJob was free. `unseen`: changes that
    never showed in status. `progress_writes`: changed statuses without a transition. `cpu_seconds`: of the driver.
    """

    seconds: float = 0.0
    changes: int = 0
    held_back: int = 0
    unseen: int = 0
    reports: list[float] = field(default_factory=list)
    jobs: list[float] = field(default_factory=list)
    own_writes: list[float] = field(default_factory=list)
    transitions: int = 0
    progress_writes: int = 0
    cpu_seconds: float = 0.0

    def to_json(self) -> str:
        """For the process that started the driver."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Outcome":
        """What `to_json` made."""
        return cls(**json.loads(text))
