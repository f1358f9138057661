"""merge_recipe.yaml: a merge as `paft merge --recipe` takes it."""

from collections.abc import Mapping
from typing import Any

import yaml

from paft_api.spec.merge import MergeOptions


def recipe_file(options: MergeOptions, recipe: Mapping[str, Any]) -> bytes:
    """The fields of spec.merge without its output, every default that acts written out; base and adapters with what
    identifies them."""
    document = {
        "base": dict(recipe["base"]),
        "adapters": {
            arm: {"uri": adapter["uri"], "digest": adapter["digest"]} for arm, adapter in recipe["adapters"].items()
        },
    }
    return yaml.safe_dump(document | options.resolved(), sort_keys=False, allow_unicode=True).encode()
