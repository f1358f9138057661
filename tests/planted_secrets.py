"""Secret values that nobody would write by chance, and the search for them."""

import base64
import os
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

PLANTED = {
    "AWS_ACCESS_KEY_ID": "AKIAPLANTEDKEYIDENTI",
    "AWS_SECRET_ACCESS_KEY": "planted+secret/0123456789+abcdefghijklmn",
    "AWS_SESSION_TOKEN": "planted-session-token//0123456789==",
}
"""Keys that no server knows."""

LOOK_SECONDS = 0.05


def leaks(values: Iterable[str], places: Mapping[str, bytes]) -> dict[str, str]:
    """Which values are in which places (content by name): as they are, quoted for an address, or in base64."""
    forms = {form: value for value in values for form in _forms(value)}
    return {name: forms[form] for name, content in places.items() for form in forms if form in content}


def _forms(value: str) -> Iterator[bytes]:
    yield value.encode()
    yield quote(value, safe="").encode()
    # Inside of longer content base64 begins at one of three places; without the ends, which depend on what is around.
    for offset in range(3):
        encoded = base64.b64encode(b"\0" * offset + value.encode())
        yield encoded[4 if offset else 0 : -4]


def files_below(*folders: Path) -> dict[str, bytes]:
    """The content of every file."""
    paths = (path for folder in folders for path in folder.rglob("*") if path.is_file())
    return {str(path): path.read_bytes() for path in paths}


@contextmanager
def command_lines() -> Iterator[dict[str, bytes]]:
    """The command line of every process that was seen while the block ran, by process id and text."""
    seen: dict[str, bytes] = {}
    done = threading.Event()

    def look() -> None:
        while not done.wait(LOOK_SECONDS):
            for pid in filter(str.isdecimal, os.listdir("/proc")):
                try:
                    text = Path(f"/proc/{pid}/cmdline").read_bytes()
                except OSError:
                    continue
                seen[f"command line {pid} {hash(text)}"] = text

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        done.set()
        thread.join()


def run_with_profiles(place: Path, profiles: Mapping[str, Mapping[str, str]]) -> "subprocess.CompletedProcess[str]":
    """`paft run job.yaml` in a folder, with these profiles in the AWS configuration and no keys in the environment."""
    file = place.parent / "aws" / "credentials"
    file.parent.mkdir(exist_ok=True)
    lines = [
        line
        for name, keys in profiles.items()
        for line in (f"[{name}]", *(f"{key.lower()} = {value}" for key, value in keys.items()))
    ]
    file.write_text("\n".join(lines) + "\n")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return subprocess.run(
        [sys.executable, "-P", "-m", "paft_cli", "run", "job.yaml"],
        cwd=place,
        env=environment | {"AWS_SHARED_CREDENTIALS_FILE": str(file), "AWS_CONFIG_FILE": str(file.with_name("config"))},
        capture_output=True,
        text=True,
        check=False,
    )


def require_no_leaks(
    values: Iterable[str], place: Path, ended: "subprocess.CompletedProcess[str]", more: Mapping[str, bytes]
) -> None:
    """That neither the files of such a run, nor what it printed, nor `more` has any of the values."""
    written = files_below(place)
    assert any(name.endswith("report.json") for name in written)
    assert any(name.endswith("log.txt") for name in written)
    printed = {"stdout": ended.stdout.encode(), "stderr": ended.stderr.encode()}
    assert leaks(values, written | printed | dict(more)) == {}
