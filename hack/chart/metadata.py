"""The annotations of Chart.yaml that repeat what is written elsewhere: an example for Artifact Hub, and the images."""

import re
from typing import Any

import yaml
from hack.chart.values import Value, leaves

EXAMPLES = "artifacthub.io/crdsExamples"
IMAGES = "artifacthub.io/images"


def chart_yaml(text: str, *, example: str, values: tuple[Value, ...]) -> str:
    """Text of Chart.yaml with both annotations brought up to date."""
    text = _replaced(text, EXAMPLES, yaml.safe_dump([yaml.safe_load(example)], sort_keys=False, width=120))
    images = _images(values, yaml.safe_load(text)["appVersion"])
    return _replaced(text, IMAGES, yaml.safe_dump(images, sort_keys=False))


def _images(values: tuple[Value, ...], app_version: str) -> list[dict[str, str]]:
    default: dict[str, Any] = {value.path: value.default for value in leaves(values)}
    return [
        {"name": name, "image": f"{default['imageRegistry']}/{default[f'{block}.repository']}:{app_version}"}
        for name, block in (("paft-operator", "image"), ("paft-trainer", "trainerImage"))
    ]


def _replaced(text: str, annotation: str, block: str) -> str:
    """Text with the block scalar of one annotation exchanged."""
    pattern = re.compile(rf"^  {re.escape(annotation)}: \|\n(?:    .*\n|\n)*", re.MULTILINE)
    indented = "".join(f"    {line}\n" for line in block.splitlines())
    replaced, count = pattern.subn(lambda _: f"  {annotation}: |\n{indented}", text)
    if count != 1:
        raise ValueError(f"Chart.yaml has {count} annotations {annotation}; it needs one, as a block scalar `|`")
    return replaced
