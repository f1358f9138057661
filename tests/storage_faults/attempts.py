"""How work ends."""

from collections.abc import Callable

from tests.storage_faults.operations import OPERATIONS
from tests.storage_faults.places import Place

from paft_trainer.errors import StageError

SUCCEEDED = "succeeded"


def attempt(operation: str, place: Place) -> tuple[str, str | None]:
    """SUCCEEDED and the result of an operation, or the error in words."""
    return in_words(lambda: OPERATIONS[operation](place.open_store(), place))


def in_words(work: Callable[[], str]) -> tuple[str, str | None]:
    """SUCCEEDED and the result, or the error in words."""
    try:
        return SUCCEEDED, work()
    except StageError as error:
        return f"{error.cause}: {error.message}", None
    except Exception as error:  # noqa: BLE001 whatever it is, it is what trials look for
        return f"{type(error).__name__}: {error}", None
