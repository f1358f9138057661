"""What a rank leaves behind for its launcher in the attempt's scratch folder.

    rank-<n>.json       it failed: the Failure, and when it happened
    returned-<n>        it did all that it had to, whatever becomes of it then

The launcher reads all records, since the rank that dies first is often not the one that failed first; and a rank that
left none was killed.
"""

import json
import os
import time
from pathlib import Path

from paft_api.report import Failure

_RETURNED = "returned-"


def write_failure_record(scratch: Path, failure: Failure) -> None:
    """Leave a rank's failure for the launcher; whole, since the rank may be killed meanwhile."""
    record = {"failure": failure.to_document(), "at": time.time()}
    temporary = scratch / f".rank-{failure.rank}.json"
    temporary.write_text(json.dumps(record), encoding="utf-8")
    os.replace(temporary, scratch / f"rank-{failure.rank}.json")


def record_return(scratch: Path, rank: int) -> None:
    """Leave word that a rank has done all that it had to. Raises OSError."""
    (scratch / f"{_RETURNED}{rank}").touch()


def read_returned_ranks(scratch: Path) -> set[int]:
    """Those that did."""
    return {int(path.name.removeprefix(_RETURNED)) for path in scratch.glob(f"{_RETURNED}*")}


def read_failure_records(scratch: Path) -> list[Failure]:
    """What ranks left behind, the earliest first."""
    records = [json.loads(path.read_text(encoding="utf-8")) for path in scratch.glob("rank-*.json")]
    records.sort(key=lambda record: record["at"])
    return [Failure.model_validate_json(json.dumps(record["failure"])) for record in records]
