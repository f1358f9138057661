"""`python -m tests.paft_trainer.merge.peers.mergekit_runs RECIPES OUTPUT`: mergekit's own merges, all in one process.

RECIPES maps names to mergekit recipes; each result becomes a folder of that name below OUTPUT.
"""

import json
import sys
from pathlib import Path

from mergekit.config import MergeConfiguration
from mergekit.merge import run_merge
from mergekit.options import MergeOptions


def main(recipes: Path, output: Path) -> None:
    """Run every recipe. Adapters are made whole models once, in the precision of the base."""
    cache = output / "materialised"
    options = MergeOptions(
        copy_tokenizer=False,
        write_model_card=False,
        lazy_unpickle=True,
        quiet=True,
        random_seed=0,
        lora_merge_cache=str(cache),
        transformers_cache=str(cache),
    )
    cache.mkdir(parents=True)
    for name, recipe in json.loads(recipes.read_text()).items():
        run_merge(MergeConfiguration.model_validate(recipe), str(output / name), options)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
