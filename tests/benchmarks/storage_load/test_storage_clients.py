"""Every client moves the bytes it is measured by, through a real server."""

from pathlib import Path

import pytest
from benchmarks.processes import MeasuringFailed
from benchmarks.storage import make_source
from benchmarks.storage_load.clients import CLIENTS, PART_BYTES
from benchmarks.storage_load.measuring import S5CMD, Bench, measure
from hack import seaweedfs


@pytest.mark.slow
def test_every_client_moves_all_bytes_up_and_down(s3_server: seaweedfs.S3Server, tmp_path: Path) -> None:
    size = 2 * PART_BYTES + 7
    bench = Bench(s3_server, make_source(tmp_path / "source", size), tmp_path)
    rows = measure(bench, [*CLIENTS, S5CMD], size, 1)

    assert {(row.client, row.direction) for row in rows} == {
        (client, direction) for client in (*CLIENTS, S5CMD) for direction in ("up", "down")
    }
    assert all(row.seconds > 0 and row.cpu_seconds_per_gigabyte > 0 for row in rows)


def test_other_bytes_than_were_sent_are_no_figure(s3_server: seaweedfs.S3Server, tmp_path: Path) -> None:
    bench = Bench(s3_server, make_source(tmp_path / "source", 1000), tmp_path)
    (tmp_path / "source").write_bytes(bytes(1000))

    with pytest.raises(MeasuringFailed, match="ours, up: other bytes arrived than were sent"):
        bench.upload("ours")
