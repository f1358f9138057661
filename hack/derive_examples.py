"""The data in examples/data, from GSM8K's training rows (https://github.com/openai/grade-school-math, MIT licence).

    python -m hack.derive_examples GSM8K_CHAT_JSONL examples/data

The input holds one chat per line, `{"messages": [user, assistant]}`. Rows are taken in order: first those for SFT, then
others for preference pairs (hack/derive_preference_pairs.py has the rule).
"""

import argparse
import json
import random
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from hack.derive_preference_pairs import NoPair, derive_pair

SFT_TRAIN, SFT_EVAL, PAIRS_TRAIN, PAIRS_EVAL = 256, 16, 192, 16
SEED = 0
MAXIMUM_CHARACTERS = 300
"""Question and answer together: short rows keep the demo short."""


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    arguments = parser.parse_args()
    rows = _short_rows(arguments.source)
    _write(arguments.target / "gsm8k-train.jsonl", islice(rows, SFT_TRAIN), SFT_TRAIN)
    _write(arguments.target / "gsm8k-eval.jsonl", islice(rows, SFT_EVAL), SFT_EVAL)
    pairs = _pairs(rows)
    _write(arguments.target / "pairs-train.jsonl", islice(pairs, PAIRS_TRAIN), PAIRS_TRAIN)
    _write(arguments.target / "pairs-eval.jsonl", islice(pairs, PAIRS_EVAL), PAIRS_EVAL)


def _pairs(rows: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    generator = random.Random(SEED)
    for row in rows:
        try:
            yield derive_pair(row, generator)
        except NoPair:
            continue


def _short_rows(source: Path) -> Iterator[dict[str, Any]]:
    with source.open(encoding="utf-8") as lines:
        for line in lines:
            row: dict[str, Any] = json.loads(line)
            if sum(len(message["content"]) for message in row["messages"]) <= MAXIMUM_CHARACTERS:
                yield row


def _write(path: Path, rows: Iterator[dict[str, Any]], count: int) -> None:
    lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]
    if len(lines) != count:
        raise SystemExit(f"{path.name}: the source gives {len(lines)} rows of {count}")
    path.write_text("".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
