import json
from pathlib import Path

from benchmarks.operator_load.request_counts import (
    Request,
    RequestLog,
    new_children,
    requests_of,
    total,
    writes,
)


def line(user: str, verb: str, resource: str, code: int, subresource: str = "") -> bytes:
    reference = {"resource": resource} | ({"subresource": subresource} if subresource else {})
    event = {"user": {"username": user}, "verb": verb, "objectRef": reference, "responseStatus": {"code": code}}
    return json.dumps(event).encode()


OURS = [
    line("paft-operator", "get", "paftjobs", 200),
    line("paft-operator", "patch", "paftjobs", 200, "status"),
    line("paft-operator", "patch", "configmaps", 201),
    line("paft-operator", "patch", "configmaps", 200),
    line("paft-operator", "create", "jobs", 201),
    line("paft-operator", "create", "events", 201),
    line("paft-operator", "patch", "paftjobs", 409, "status"),
    line("paft-operator", "update", "leases", 200),
]


def test_writes_are_told_from_reads_new_objects_from_changed_ones_and_leases_from_all() -> None:
    counts = requests_of("paft-operator", OURS)

    assert (total(counts), writes(counts), new_children(counts)) == (7, 6, 2)
    assert counts[Request("patch", "paftjobs/status", 409)] == 1


def test_requests_of_others_do_not_count_even_where_they_name_us() -> None:
    other = line("admin", "get", "paft-operator", 200)

    assert not requests_of("paft-operator", [other, line("driver", "patch", "pods", 200)])


def test_the_log_is_read_on_from_where_it_was_left_and_by_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    path.write_bytes(OURS[0] + b"\n" + OURS[1][:20])
    log = RequestLog(path, "paft-operator")

    assert total(log.new()) == 1
    with path.open("ab") as file:
        file.write(OURS[1][20:] + b"\n" + OURS[2] + b"\n")
    assert total(log.new()) == 2
    assert total(log.new()) == 0
    log.close()
