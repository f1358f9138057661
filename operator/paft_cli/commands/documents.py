"""A PaftJob for programs."""

import json
from typing import Any


def print_document(document: dict[str, Any]) -> None:
    """As JSON to stdout."""
    print(json.dumps(document, indent=2))
