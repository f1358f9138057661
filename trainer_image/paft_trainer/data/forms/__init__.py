"""One converter for each form of rows: from a document as a file has it to a row as training takes it.

A row has one of these sets of fields, each checked: `messages`; `prompt` and `completion`; `text`; `prompt`, `chosen`
and `rejected`; all but `text` may have `tools`.
"""

from collections.abc import Callable, Mapping

from paft_api.spec.data import DataFormat
from paft_trainer.data.forms.alpaca import read_alpaca
from paft_trainer.data.forms.fields import Row
from paft_trainer.data.forms.messages import read_messages
from paft_trainer.data.forms.preference import read_preference
from paft_trainer.data.forms.prompt_completion import read_prompt_completion
from paft_trainer.data.forms.sharegpt import read_sharegpt
from paft_trainer.data.forms.text import read_text

FORMS: Mapping[DataFormat, Callable[[str, Row], Row]] = {
    DataFormat.MESSAGES: read_messages,
    DataFormat.PROMPT_COMPLETION: read_prompt_completion,
    DataFormat.TEXT: read_text,
    DataFormat.SHAREGPT: read_sharegpt,
    DataFormat.ALPACA: read_alpaca,
    DataFormat.PREFERENCE: read_preference,
}
"""By format: functions of a row's place and document. They raise DataInvalid."""

__all__ = ["FORMS", "Row"]
