"""The search for planted secrets finds them in every form; without that, finding nothing would say nothing."""

import base64
import subprocess
import sys
from urllib.parse import quote

import pytest
from tests.planted_secrets import PLANTED, command_lines, leaks

SECRET = PLANTED["AWS_SECRET_ACCESS_KEY"].encode()


@pytest.mark.parametrize(
    "content",
    [
        b'{"key": "' + SECRET + b'"}',
        b"?secret=" + quote(SECRET, safe="").encode(),
        base64.b64encode(SECRET),
        base64.b64encode(b"a" + SECRET + b"b"),
        base64.b64encode(b"ab" + SECRET),
    ],
    ids=["plain", "quoted", "base64", "base64 inside", "base64 further inside"],
)
def test_a_secret_is_found_in_every_form(content: bytes) -> None:
    assert leaks(PLANTED.values(), {"place": content, "other": b"nothing"}) == {
        "place": PLANTED["AWS_SECRET_ACCESS_KEY"]
    }


def test_a_secret_is_found_in_a_command_line() -> None:
    program = "import time; time.sleep(1)"
    with command_lines() as seen:
        subprocess.run([sys.executable, "-c", program, PLANTED["AWS_SESSION_TOKEN"]], check=True)

    assert set(leaks(PLANTED.values(), seen).values()) == {PLANTED["AWS_SESSION_TOKEN"]}
