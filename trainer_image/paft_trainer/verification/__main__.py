"""`python -m paft_trainer.verification URI`: prints a Verification as JSON; what `paft verify` runs."""

import argparse
import signal
import sys
import threading
import time

from paft_api.spec.storage import StorageSpec
from paft_trainer.errors import StageError
from paft_trainer.storage import open_store
from paft_trainer.verification.verify import verify

_LINE_SECONDS = 5.0


def main(arguments: list[str] | None = None) -> int:
    """0 where the folder was read, whatever was found; 1 with the reason on stderr where it could not be."""
    # Nothing is written, so nothing has to be ended in order.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    parser = argparse.ArgumentParser(prog="paft_trainer.verification", description=__doc__)
    parser.add_argument("uri")
    parser.add_argument("--artifacts", required=True)
    for option in ("--digest", "--endpoint", "--region"):
        parser.add_argument(option)
    parsed = parser.parse_args(arguments)
    storage = StorageSpec(artifacts_uri=parsed.artifacts, endpoint=parsed.endpoint, region=parsed.region)
    store = open_store(storage, on_wait=lambda message: print(message, file=sys.stderr, flush=True))
    try:
        verification = verify(
            store,
            parsed.uri,
            artifacts_uri=storage.artifacts_uri,
            expected_digest=parsed.digest,
            on_bytes=_Progress().add,
        )
    except StageError as error:
        print(f"Failed: {error.cause}: {error.message}\n  {error.remedy}", file=sys.stderr)
        return 1
    print(verification.to_json())
    return 0


class _Progress:
    """A line on stderr every few seconds."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._bytes = 0
        self._started = self._told = time.monotonic()

    def add(self, count: int) -> None:
        with self._lock:
            self._bytes += count
            now = time.monotonic()
            if now - self._told < _LINE_SECONDS:
                return
            self._told = now
            rate = self._bytes / (now - self._started) / 1e6
            print(f"{self._bytes / 1e9:.1f} GB read, {rate:.0f} MB/s", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
