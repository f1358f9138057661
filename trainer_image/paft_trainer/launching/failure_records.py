"""What a failed rank leaves behind for its launcher: `rank-<n>.json` in the attempt's scratch folder.

It has the Failure and when it happened. The launcher reads all records, since the rank that dies first is often not the
one that failed first.
"""

import json
import os
import time
from pathlib import Path

from paft_api.report import Failure


def write_failure_record(scratch: Path, failure: Failure) -> None:
    """Leave a rank's failure for the launcher; whole, since the rank may be killed meanwhile."""
    record = {"failure": failure.to_document(), "at": time.time()}
    temporary = scratch / f".rank-{failure.rank}.json"
    temporary.write_text(json.dumps(record), encoding="utf-8")
    os.replace(temporary, scratch / f"rank-{failure.rank}.json")


def read_failure_records(scratch: Path) -> list[Failure]:
    """What ranks left behind, the earliest first."""
    records = [json.loads(path.read_text(encoding="utf-8")) for path in scratch.glob("rank-*.json")]
    records.sort(key=lambda record: record["at"])
    return [Failure.model_validate_json(json.dumps(record["failure"])) for record in records]
