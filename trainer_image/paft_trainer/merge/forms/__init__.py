"""What a merge is written as: a fused checkpoint, an adapter, or its recipe alone."""

from collections.abc import Callable, Mapping, Sequence

from paft_api.spec.merge import OutputForm
from paft_trainer.merge.forms.adapter import write_adapter
from paft_trainer.merge.forms.full import write_checkpoints
from paft_trainer.merge.forms.recipe import write_recipe
from paft_trainer.merge.merge_task import MergeTask, PlannedMerge

FORMS: Mapping[OutputForm, Callable[[MergeTask, Sequence[PlannedMerge]], None]] = {
    "Full": write_checkpoints,
    "Adapter": write_adapter,
    "Recipe": write_recipe,
}
"""By output.form: what writes the merges whose folders are claimed. Each raises StageError."""
