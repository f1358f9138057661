"""Ratios and goals of transfers."""

from benchmarks.storage_load.measuring import S5CMD, Row, Sample
from benchmarks.storage_load.results import OURS, transfer_measurements


def row(client: str, direction: str, *seconds: float, grown: int = 0) -> Row:
    samples = tuple(Sample(seconds=one, cpu_seconds=2 * one, grown_bytes=grown) for one in seconds)
    return Row(client=client, direction=direction, size=1_000_000_000, samples=samples)


def test_rates_are_of_medians_and_compared_with_the_peer_of_the_same_direction() -> None:
    rows = [
        row(OURS, "up", 1, 2, 100, grown=300_000_000),
        row(OURS, "down", 1),
        row(S5CMD, "up", 4),
        row(S5CMD, "down", 0.5),
    ]
    found = {measured.name: measured for measured in transfer_measurements(rows)}

    assert found["up: × s5cmd"].value == 2
    assert found["up: × s5cmd"].holds
    assert found["down: × s5cmd"].value == 0.5
    assert not found["down: × s5cmd"].holds
    assert found["paft, up, 1.00 GB: rate"].value == 500
    assert found["paft, up, 1.00 GB: CPU seconds per GB"].value == 4
    assert not found["up, 1.00 GB: growth of resident memory"].holds
    assert found["down, 1.00 GB: growth of resident memory"].holds
