"""Reads TensorBoard's event files, as its own loader does: records with checksums, and steps that are done again once.

A record is its length (8 bytes), a checksum of that, the bytes, and a checksum of these (TFRecord).
"""

import struct
from collections.abc import Iterator
from pathlib import Path

from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.record_writer import masked_crc32c


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Steps and values by tag, of all files of a run in order of their names."""
    found: dict[str, list[tuple[int, float]]] = {}
    for path in sorted(folder.glob("*tfevents*")):
        for event in events(path):
            if event.session_log.status == SessionLog.START:
                found = {tag: [one for one in points if one[0] < event.step] for tag, points in found.items()}
            for value in event.summary.value:
                if value.HasField("simple_value"):
                    found.setdefault(value.tag, []).append((event.step, value.simple_value))
    return found


def events(path: Path) -> Iterator[Event]:
    """All events of one file."""
    content = path.read_bytes()
    place = 0
    while place < len(content):
        head = content[place : place + 8]
        (length,) = struct.unpack("<Q", head)
        body = content[place + 12 : place + 12 + length]
        assert _checksum(content, place + 8) == masked_crc32c(head)
        assert _checksum(content, place + 12 + length) == masked_crc32c(body)
        place += 16 + length
        event = Event()
        event.ParseFromString(body)
        yield event


def _checksum(content: bytes, place: int) -> int:
    (checksum,) = struct.unpack_from("<I", content, place)
    return int(checksum)
