"""Files of the chart that follow from others: `python -m hack.chart --write | --check`."""

import sys
from pathlib import Path

import yaml
from hack.chart.metadata import chart_yaml
from hack.chart.readme import readme
from hack.chart.schema import schema
from hack.chart.values import read_values

from paft_api.generated_pages import write_or_check

DIRECTORY = Path("helm/paft-operator")
EXAMPLE = Path("examples/mistral-7b.yaml")


def pages() -> dict[str, str]:
    """Text of each file by its name in the chart."""
    values = read_values((DIRECTORY / "values.yaml").read_text(encoding="utf-8"))
    chart = (DIRECTORY / "Chart.yaml").read_text(encoding="utf-8")
    return {
        "values.schema.json": schema(values),
        "README.md": readme(values, kubernetes=yaml.safe_load(chart)["kubeVersion"]),
        "Chart.yaml": chart_yaml(chart, example=EXAMPLE.read_text(encoding="utf-8"), values=values),
    }


def main(arguments: list[str] | None = None) -> int:
    """Write the files, or tell whether they are up to date."""
    return write_or_check(pages(), arguments, program="hack.chart", default_directory=DIRECTORY)


if __name__ == "__main__":
    sys.exit(main())
