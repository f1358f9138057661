"""What the chart renders, kept in golden/: `python -m tests.helm.golden --write` after a change, and read the diff.

The CustomResourceDefinition is left out: crds/ holds it.
"""

import sys
import tempfile
from pathlib import Path

import yaml
from hack.control_plane.programs import find_or_build
from tests.helm.helm_program import Helm, Values, without_crd

from paft_api.generated_pages import write_or_check

DIRECTORY = Path(__file__).parent / "golden"


def situations() -> dict[str, Values]:
    """Values by situation."""
    everything: Values = yaml.safe_load((Path(__file__).parent / "everything.yaml").read_text(encoding="utf-8"))
    return {
        "defaults": {},
        "everything": everything,
        "namespaced": {"scope": "namespaced", "watchNamespaces": ["team-a", "team-b"], "crds": {"enabled": False}},
    }


def pages(helm: Helm) -> dict[str, str]:
    """Text of each golden file by its name."""
    return {
        f"{name}.yaml": yaml.safe_dump_all(without_crd(helm.render(values)), sort_keys=False, width=120)
        for name, values in situations().items()
    }


def main() -> int:
    """Write the golden files, or tell whether they are up to date."""
    with tempfile.TemporaryDirectory() as home:
        helm = Helm(program=find_or_build(["helm"])["helm"], home=Path(home))
        return write_or_check(pages(helm), None, program="tests.helm.golden", default_directory=DIRECTORY)


if __name__ == "__main__":
    sys.exit(main())
