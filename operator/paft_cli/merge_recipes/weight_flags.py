"""`--weight ARM=X` and `--weight PATTERN:ARM=X` as entries of weights."""

from collections.abc import Sequence

from paft_api.stages import ARMS, StageName
from paft_api.yaml_documents import Json
from paft_cli.errors import CommandError


def weights_of(flags: Sequence[str]) -> list[Json]:
    """An entry for everywhere, then one for each pattern in the order in which patterns are first named.

    An arm that is not given for a pattern has there the weight that it has everywhere. Raises CommandError.
    """
    given: dict[str, dict[StageName, float]] = {"": {}}
    for flag in flags:
        pattern, arm, number = _parsed(flag)
        numbers = given.setdefault(pattern, {})
        if arm in numbers:
            raise CommandError(f"--weight {flag}: {arm} is given twice there; give it once")
        numbers[arm] = number
    everywhere = {arm: given[""].get(arm, 1.0) for arm in ARMS}
    entries: list[Json] = []
    for pattern, numbers in given.items():
        where: dict[str, Json] = {"modules": pattern} if pattern else {}
        entries.append(where | {arm.value: numbers.get(arm, everywhere[arm]) for arm in ARMS})
    return entries


def _parsed(flag: str) -> tuple[str, StageName, float]:
    """Pattern, arm and number."""
    name, separator, text = flag.rpartition("=")
    pattern, colon, arm = name.rpartition(":")
    if not separator or arm not in ARMS or (colon and not pattern):
        raise CommandError(f"--weight {flag}: write sft=… or preference=…, or for some modules '*.mlp.*:sft=…'")
    try:
        return pattern, StageName(arm), float(text)
    except ValueError:
        raise CommandError(f"--weight {flag}: {text!r} is no number; write such as {arm}=0.7") from None
