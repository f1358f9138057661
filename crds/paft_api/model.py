"""The base of every model in the contract."""

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


def unavailable(*values: object, instead: str) -> AfterValidator:
    """Refuses values that the contract names but this version cannot do yet."""

    def check(value: object) -> object:
        if value in values:
            shown = str(value).lower() if isinstance(value, bool) else value
            raise ValueError(f"{shown} is not available in this version; {instead}")
        return value

    return AfterValidator(check)


def _number_to_text(value: object) -> object:
    """Kubernetes writes quantities as a number or as text; inside they are always text."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    return value


Uri = Annotated[
    str,
    StringConstraints(
        min_length=6, max_length=1024, pattern=r"^(s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/.*)?|file:///.*)$"
    ),
]
"""`s3://bucket/key` or `file:///absolute/path`."""

FolderUri = Annotated[
    str,
    StringConstraints(
        min_length=6, max_length=1024, pattern=r"^(s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/.*|file:///.+)$"
    ),
    BeforeValidator(lambda value: value if not isinstance(value, str) or value.endswith("/") else value + "/"),
]
"""A folder in an object store; a missing `/` at its end is added."""

Digest = Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$", max_length=71)]
"""`sha256:` and 64 hexadecimal digits."""

Quantity = Annotated[
    str,
    StringConstraints(max_length=32, pattern=r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?$"),
    BeforeValidator(_number_to_text),
]
"""A Kubernetes quantity such as `500m`, `32` or `256Gi`."""

DnsLabel = Annotated[str, StringConstraints(min_length=1, max_length=63, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]
"""A DNS label (RFC 1123)."""
