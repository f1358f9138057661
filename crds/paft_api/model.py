"""The base of every model in the contract."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, StringConstraints
from pydantic.alias_generators import to_camel


class Model(BaseModel):
    """camelCase in documents, snake_case in Python; immutable; unknown fields are errors; types are strict."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        extra="forbid",
        frozen=True,
        allow_inf_nan=False,
        strict=True,
        use_attribute_docstrings=True,
    )

    def to_document(self) -> dict[str, object]:
        """A JSON-ready dict in the document's spelling, defaults included, nulls left out."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)

    def to_json(self) -> str:
        """The document as one line of JSON."""
        return self.model_dump_json(by_alias=True, exclude_none=True)


@dataclass(frozen=True, slots=True)
class Unavailable:
    """Refuses values that the contract names but this version cannot do yet."""

    values: tuple[object, ...]
    instead: str

    def __call__(self, value: object) -> object:
        """The value, if it is available."""
        if value in self.values:
            raise ValueError(self.message(value))
        return value

    def message(self, value: object) -> str:
        """What is wrong with an unavailable value, and what to do."""
        shown = str(value).lower() if isinstance(value, bool) else value
        return f"{shown} is not available in this version; {self.instead}"


def unavailable(*values: object, instead: str) -> AfterValidator:
    """Marks values that the contract names but this version cannot do yet."""
    return AfterValidator(Unavailable(values, instead))


@dataclass(frozen=True, slots=True)
class Refused(Unavailable):
    """Refuses values that the contract names for the sake of a message: each has its own reason, with a remedy."""

    reasons: tuple[str, ...] = ()

    def message(self, value: object) -> str:
        """What is wrong with a refused value, and what to do."""
        shown = str(value).lower() if isinstance(value, bool) else value
        return f"{shown} {self.reasons[self.values.index(value)]}"


def refused(reasons: Mapping[object, str]) -> AfterValidator:
    """Marks values that cannot be, whatever the version. `reasons`: why, and what to use instead, by value."""
    return AfterValidator(Refused(tuple(reasons), "", tuple(reasons.values())))


def number_to_text(value: object) -> object:
    """Kubernetes takes whole numbers of 64 bits as quantities; inside they are always text."""
    if isinstance(value, int) and not isinstance(value, bool) and value < 2**63:
        return str(value)
    return value


MAXIMUM_URI_LENGTH = 1024


def end_with_slash(uri: str) -> str:
    """A folder's address with a `/` at its end."""
    if uri.endswith("/"):
        return uri
    if len(uri) == MAXIMUM_URI_LENGTH:
        raise ValueError(f"too long with a / at its end; at most {MAXIMUM_URI_LENGTH} characters are allowed")
    return uri + "/"


Uri = Annotated[
    str,
    StringConstraints(
        min_length=6,
        max_length=MAXIMUM_URI_LENGTH,
        pattern=r"^(s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/.*)?|file:///.*)$",
    ),
]
"""`s3://bucket/key` or `file:///absolute/path`."""

FolderUri = Annotated[
    str,
    StringConstraints(
        min_length=6,
        max_length=MAXIMUM_URI_LENGTH,
        pattern=r"^(s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/.*)?|file:///.+)$",
    ),
    AfterValidator(end_with_slash),
]
"""A folder in an object store; a missing `/` at its end is added."""

Digest = Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$", max_length=71)]
"""`sha256:` and 64 hexadecimal digits."""

Quantity = Annotated[
    str,
    StringConstraints(max_length=32, pattern=r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?$"),
    BeforeValidator(number_to_text),
]
"""A Kubernetes quantity such as `500m`, `32` or `256Gi`."""

DnsLabel = Annotated[str, StringConstraints(min_length=1, max_length=63, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]
"""A DNS label (RFC 1123)."""

DnsSubdomain = Annotated[
    str,
    StringConstraints(
        min_length=1, max_length=253, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
    ),
]
"""A DNS subdomain (RFC 1123), as most objects of Kubernetes are named."""

ArmWarning = Annotated[str, StringConstraints(max_length=500)]
"""What an arm cannot do as its job asks for, in words."""
