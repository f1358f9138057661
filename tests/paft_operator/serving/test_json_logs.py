"""Logs as lines of JSON."""

import io
import json
import logging
from collections.abc import Iterator

import pytest

from paft_operator.serving.json_logs import about, configure_logs


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    text = io.StringIO()
    configure_logs("INFO", text)
    yield text
    root.handlers[:], root.level = before


def _lines(stream: io.StringIO) -> list[dict[str, str]]:
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    for line in lines:
        line.pop("time")
    return lines


def test_a_line_names_the_job_it_is_about(stream: io.StringIO) -> None:
    logger = logging.getLogger("paft_operator.test")
    with about(namespace="team-a", name="tiny", uid="u"):
        logger.info("started %s", "sft")
    logger.warning("alone")
    logger.debug("too quiet")

    assert _lines(stream) == [
        {
            "level": "info",
            "logger": "paft_operator.test",
            "message": "started sft",
            "namespace": "team-a",
            "job": "tiny",
            "uid": "u",
        },
        {"level": "warning", "logger": "paft_operator.test", "message": "alone"},
    ]


def test_an_exception_stays_on_its_line(stream: io.StringIO) -> None:
    try:
        raise ValueError("two\nlines")
    except ValueError:
        logging.getLogger("paft_operator.test").exception("broken")

    (line,) = _lines(stream)
    assert line["message"] == "broken"
    assert line["error"].endswith("ValueError: two\nlines")


def test_kopf_does_not_tell_each_event(stream: io.StringIO) -> None:
    logging.getLogger("kopf.objects").info("Handler succeeded.")
    logging.getLogger("kopf._cogs.clients.api").error("Request attempt failed.")

    assert [line["message"] for line in _lines(stream)] == ["Request attempt failed."]
