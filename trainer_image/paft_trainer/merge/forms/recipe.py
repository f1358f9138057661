"""output.form Recipe: what would be merged, and how. The base's weights are neither read nor written."""

from collections.abc import Sequence

from paft_api.report import Activity
from paft_trainer.available_processors import available_processors
from paft_trainer.merge.available_arithmetic import available_arithmetic
from paft_trainer.merge.delta_pass import DeltaPasses
from paft_trainer.merge.interference import TensorFigures, interference_report
from paft_trainer.merge.merge_task import MergeTask, PlannedMerge
from paft_trainer.merge.mergekit_recipe import mergekit_recipe
from paft_trainer.merge.methods import method_of
from paft_trainer.merge.model_answers import survey_model
from paft_trainer.merge.pipeline import Pipeline
from paft_trainer.merge.progress import MergeProgress
from paft_trainer.merge.recipe_file import recipe_file
from paft_trainer.merge.rows import CHUNK_ELEMENTS
from paft_trainer.merge.tensor_arms import arms_of_tensors

RECIPE_FILE = "merge_recipe.yaml"
MERGEKIT_FILE = "mergekit.yaml"
AHEAD = 16
"""Parts whose figures may wait."""


def write_recipe(task: MergeTask, planned: Sequence[PlannedMerge]) -> None:
    """Write the documents."""
    (one,) = planned
    figures = _figures(task, one)
    task.reporter.update(activity=Activity.PUBLISHING)
    report = interference_report(one.options, figures, replaced=one.replaced)
    one.take_warnings(report)
    one.output.write_interference(report)
    one.output.write_chat_template(task.run_spec.base)
    one.output.write_card(one.recipe)
    one.output.write(RECIPE_FILE, [recipe_file(one.options, one.recipe)])
    for_mergekit = mergekit_recipe(one.options, one.recipe)
    if for_mergekit is not None:
        one.output.write(MERGEKIT_FILE, [for_mergekit])
    one.finish(claimed_digest=one.recipe["recipeDigest"], merged_tensors=len(figures), copied_tensors=0)


def _figures(task: MergeTask, planned: PlannedMerge) -> list[TensorFigures]:
    inputs, method, arithmetic = task.inputs, method_of(planned.options), available_arithmetic()
    arms_of = arms_of_tensors(planned.options, inputs)
    tensors = sorted(
        (tensor for tensor in inputs.base.tensors if tensor.entry.name in inputs.merged_names),
        key=lambda tensor: tensor.entry.name,
    )
    progress = MergeProgress(task.reporter, tensors)
    figures = []
    with Pipeline(workers=available_processors(), ahead=AHEAD) as pipeline:
        known = survey_model(pipeline, tensors, [(method, arms_of)], arithmetic, chunk_elements=CHUNK_ELEMENTS)
        for tensor in tensors:
            arms = arms_of(tensor)
            figures.append(DeltaPasses(pipeline, method, arms, known(method, arms), tensor, arithmetic).figures())
            progress.advance(tensor.entry.size, ends_tensor=True)
    return figures
