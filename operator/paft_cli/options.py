"""Arguments and options that several commands share."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

JobFile = Annotated[Path, typer.Argument(metavar="FILE", help="YAML file with a PaftJob.", show_default=False)]
OptionalJob = Annotated[
    str | None,
    typer.Argument(
        metavar="[FILE|NAME]",
        help="YAML file of a job on this machine, or name of a PaftJob in the cluster. "
        "Default: the only job that was run here.",
        show_default=False,
    ),
]
JobName = Annotated[str, typer.Argument(metavar="NAME", help="Name of a PaftJob in the cluster.", show_default=False)]
NamespaceOption = Annotated[
    str | None,
    typer.Option(
        "--namespace",
        "-n",
        metavar="NAME",
        help="Namespace of the PaftJob. Default: the context's.",
        show_default=False,
    ),
]
ContextOption = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Context of the kubeconfig. Default: the current one.", show_default=False),
]


class Output(StrEnum):
    """For people or for programs."""

    TEXT = "text"
    JSON = "json"


OutputOption = Annotated[
    Output, typer.Option("--output", "-o", metavar="text|json", help="Form of what is printed to stdout.")
]
