"""Logs as one JSON object per line, each with the PaftJob it is about."""

import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TextIO


@dataclass(frozen=True, slots=True)
class _Subject:
    namespace: str
    name: str
    uid: str


_subject: ContextVar[_Subject | None] = ContextVar("paft_job", default=None)


@contextmanager
def about(*, namespace: str, name: str, uid: str) -> Iterator[None]:
    """Everything that is logged inside is about this PaftJob."""
    token = _subject.set(_Subject(namespace, name, uid))
    try:
        yield
    finally:
        _subject.reset(token)


class JsonFormatter(logging.Formatter):
    """time, level, logger, message; namespace, job and uid inside `about`; error with its traceback."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        line: dict[str, str] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        subject = _subject.get()
        if subject is not None:
            line |= {"namespace": subject.namespace, "job": subject.name, "uid": subject.uid}
        if record.exc_info is not None:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def configure_logs(level: str, stream: TextIO = sys.stderr) -> None:
    """Log as JSON lines to a stream; of kopf, which tells two lines per watched event, what goes wrong."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.getLogger("kopf").setLevel(logging.WARNING)
    # It warns that it leaves signals alone in its thread, which is as it should be.
    logging.getLogger("kopf._core.reactor.running").setLevel(logging.ERROR)
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)
