"""`python -m paft_trainer.keeping survey|clean`: what `paft storage` runs.

A SurveyRequest on stdin, a StorageSurvey or CleanUp as JSON on stdout.
"""

import argparse
import signal
import sys

from paft_api.storage_survey import SurveyRequest
from paft_trainer.errors import StageError
from paft_trainer.keeping.cleaning import clean
from paft_trainer.keeping.survey import survey
from paft_trainer.storage import open_store


def main(arguments: list[str] | None = None) -> int:
    """0 where it was done, 1 with the reason on stderr where it could not be."""
    # Whatever is cut short is continued by the next one.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    parser = argparse.ArgumentParser(prog="paft_trainer.keeping", description=__doc__)
    parser.add_argument("action", choices=["survey", "clean"])
    action = parser.parse_args(arguments).action
    request = SurveyRequest.model_validate_json(sys.stdin.read())
    store = open_store(request.storage, on_wait=lambda message: print(message, file=sys.stderr, flush=True))
    try:
        done = survey(store, request) if action == "survey" else clean(store, request)
    except StageError as error:
        print(f"Failed: {error.cause}: {error.message}\n  {error.remedy}", file=sys.stderr)
        return 1
    print(done.to_json())
    return 0


if __name__ == "__main__":
    sys.exit(main())
