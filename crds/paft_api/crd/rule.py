"""One rule in CEL, as x-kubernetes-validations has it."""

import re
from dataclasses import dataclass
from typing import Any

from paft_api.crd.expressions import literal


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """One entry of x-kubernetes-validations.

    `rule` is CEL that is true of a valid value. `message_expression`: the message with values in it, in CEL; `message`
    is what is shown where that cannot be. `field_path`: the field below that is to be mended.
    """

    rule: str
    message: str
    message_expression: str | None = None
    field_path: str | None = None
    reason: str | None = None
    optional_old_self: bool = False

    def to_document(self) -> dict[str, Any]:
        """The entry as YAML has it."""
        document = {
            "rule": self.rule,
            "message": self.message,
            "messageExpression": self.message_expression,
            "fieldPath": self.field_path,
            "reason": self.reason,
            "optionalOldSelf": self.optional_old_self or None,
        }
        return {key: value for key, value in document.items() if value is not None}

    def about_keys(self) -> "Rule":
        """The same rule, about every key of a map."""
        about_key = about(self.rule, "key")
        shown = self.message_expression or formatted(f"%s: {self.message.replace('%', '%%')}", "self")
        return Rule(
            rule=f"self.all(key, {about_key})",
            message=f"a key: {self.message}",
            message_expression=about(shown, f"self.filter(key, !({about_key}))[0]"),
        )


def formatted(text: str, *values: str) -> str:
    """CEL for a message with values in it. Put together with +, it would count as endlessly long."""
    return f"{literal(text)}.format([{', '.join(values)}])"


def about(expression: str, value: str) -> str:
    """CEL about `self`, about another value."""
    return re.sub(r"\bself\b", value, expression)
