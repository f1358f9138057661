"""What a plain YAML scalar means to kubectl (sigs.k8s.io/yaml over go-yaml 2).

PyYAML differs: to it `1e-4` is text, `y` is text, `017` is 15 but `0o17` text, and `1:30` is 90. A job file must mean
the same here as it does to a cluster.
"""

import math
import re

Scalar = str | int | float | bool | None

_WORDS: dict[str, Scalar] = {"": None, "~": None}
for _word, _value in (("y", True), ("yes", True), ("on", True), ("true", True)):
    _WORDS |= dict.fromkeys((_word, _word.capitalize(), _word.upper()), _value)
for _word, _value in (("n", False), ("no", False), ("off", False), ("false", False)):
    _WORDS |= dict.fromkeys((_word, _word.capitalize(), _word.upper()), _value)
_WORDS |= dict.fromkeys(("null", "Null", "NULL"))
for _word in (".inf", ".Inf", ".INF"):
    _WORDS |= {_word: float("inf"), "+" + _word: float("inf"), "-" + _word: float("-inf")}
_WORDS |= dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan"))

_INTEGERS = {
    16: re.compile(r"([-+]?)0[xX]([0-9a-fA-F]+)"),
    2: re.compile(r"([-+]?)0[bB]([01]+)"),
    8: re.compile(r"([-+]?)0[oO]?([0-7]+)"),
    10: re.compile(r"([-+]?)(0|[1-9][0-9]*)"),
}
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_SMALLEST, _LARGEST = -(2**63), 2**64 - 1
_WHOLE_BELOW = 1e21
"""Go writes larger floats with an exponent."""
_MAXIMUM_DIGITS = 400
"""Python converts no text of thousands of digits, and no float is that long."""


def read_scalar(text: str) -> Scalar:
    """The value of an unquoted scalar. The result may be infinite or not a number, which JSON cannot hold.

    Whole numbers are ints however they are written, as in the JSON that Go makes: `1e4` is 10000.
    """
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in "+-.0123456789" or len(text) > _MAXIMUM_DIGITS:
        return text
    digits = text.replace("_", "")
    for base, pattern in _INTEGERS.items():
        if match := pattern.fullmatch(digits):
            number = int(match[1] + match[2], base)
            return number if _SMALLEST <= number <= _LARGEST else float(number)
    if _FLOAT.fullmatch(digits):
        value = float(digits)
        if not math.isfinite(value):
            return text
        return int(value) if value.is_integer() and abs(value) < _WHOLE_BELOW else value
    return text
