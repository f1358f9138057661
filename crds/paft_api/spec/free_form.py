"""Fields that hold another project's documents: their size is bounded, and their content is that project's."""

import json
from typing import Annotated, Any

from pydantic import AfterValidator, Field

MAXIMUM_CHARACTERS = 16_384


def _require_small(document: dict[str, Any]) -> dict[str, Any]:
    length = len(json.dumps(document))
    if length > MAXIMUM_CHARACTERS:
        raise ValueError(f"{length} characters of JSON; at most {MAXIMUM_CHARACTERS} are allowed")
    return document


FreeForm = Annotated[dict[str, Any], Field(max_length=64), AfterValidator(_require_small)]
"""A map of any content, at most 16384 characters of JSON."""
