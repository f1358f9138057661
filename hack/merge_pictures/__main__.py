"""Pictures of what each merge method does to two deltas: `python -m hack.merge_pictures --write | --check`."""

import sys
from pathlib import Path

from hack.merge_pictures.drawing import picture
from hack.merge_pictures.example import merge_example

from paft_api.generated_pages import write_or_check
from paft_api.spec.merge_methods import MergeMethod

DIRECTORY = Path("docs/guides/merging")


def pages() -> dict[str, str]:
    """The picture of each method, by file name."""
    return {f"{method.value}.svg": picture(merge_example(method)) for method in MergeMethod}


def main(arguments: list[str] | None = None) -> int:
    """Write the pictures, or tell whether they are what the methods do."""
    return write_or_check(pages(), arguments, program="hack.merge_pictures", default_directory=DIRECTORY)


if __name__ == "__main__":
    sys.exit(main())
