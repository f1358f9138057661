"""Names of the files that a merge streams: with them, an unfinished upload in the output is known to be a merge's."""

from paft_trainer.adapters import WEIGHTS_FILE
from paft_trainer.checkpoint_files import INDEX_FILE
from paft_trainer.merge.inputs import CONFIGURATION_FILE
from paft_trainer.merge.merge_task import MergeTask
from paft_trainer.merge.output import CHAT_TEMPLATE_FILE, INTERFERENCE_FILE, copied_names
from paft_trainer.merge.shards import plan_shards


def streamed_names(task: MergeTask) -> tuple[str, ...]:
    """In the output, and in the folder of each candidate. What is written as a whole is not among them."""
    output, base = task.merge.spec.output, task.inputs.base
    if output.form != "Full":
        return (WEIGHTS_FILE, INTERFERENCE_FILE, CHAT_TEMPLATE_FILE)
    shards = plan_shards(base.tensors, max_shard_bytes=output.max_shard_bytes)
    copied = copied_names(task.run_spec.base, base.files.others)
    ours = (CHAT_TEMPLATE_FILE, INTERFERENCE_FILE, INDEX_FILE, CONFIGURATION_FILE)
    return (*(shard.name for shard in shards), *copied, *ours)
