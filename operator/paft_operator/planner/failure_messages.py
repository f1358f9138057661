"""A failure as one text for a status: all that prepare found, or what happened and what to do."""

from paft_api.report import Failure, Finding

LONGEST_MESSAGE = 4096
"""Characters of a condition's message, and of a stage's."""


def failure_message(failure: Failure) -> str:
    """At most LONGEST_MESSAGE characters; many findings are shortened alike, so that none is left out."""
    if not failure.findings:
        return _shortened(f"{_sentence(failure.message)} {failure.remedy}", LONGEST_MESSAGE)
    share = LONGEST_MESSAGE // len(failure.findings) - 1
    texts = [_finding(finding) for finding in failure.findings]
    if sum(len(text) + 1 for text in texts) > LONGEST_MESSAGE:
        texts = [_shortened(text, share) for text in texts]
    return "\n".join(texts)


def _finding(finding: Finding) -> str:
    return f"{finding.field}: {_sentence(finding.message)} {finding.remedy}"


def _sentence(text: str) -> str:
    """Messages end as their sources end them: words of a pod or a library mostly without a full stop."""
    return text if text.endswith((".", "!", "?", "…")) else f"{text}."


def _shortened(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
