"""spec.base: the checkpoint both arms start from."""

from typing import Annotated

from pydantic import StringConstraints

from paft_api.model import FolderUri
from paft_api.spec.base_cache import BaseCacheSpec
from paft_api.spec.storage import SourceAccess


class BaseSpec(SourceAccess):
    """One base model; both adapters and the merge use exactly this checkpoint."""

    uri: FolderUri
    """A Hugging Face folder: safetensors weights, config.json and tokenizer files."""

    chat_template: Annotated[str, StringConstraints(min_length=1, max_length=65536)] | None = None
    """A Jinja chat template. Default: the tokenizer's own; needed where it has none and data hold messages."""

    cache: BaseCacheSpec | None = None
    """A cache on each node, from which both arms and later jobs read verified parts of the base. Default: none, every
    rank reads its own parts from object storage."""
