"""docs/reference/cli.md from the command line itself: `python -m paft_cli.reference --write | --check`."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
import typer.core

from paft_api.generated_pages import NOTE, write_or_check
from paft_cli.app import app

DIRECTORY = Path("docs/reference")


def reference_text() -> str:
    """The page: every command with its arguments and options."""
    group: Any = typer.main.get_command(app)
    lines = ["# The `paft` command", "", NOTE, "", group.help, ""]
    for name, command in _commands(group):
        lines += _command_lines(name, command)
    return "\n".join(lines).rstrip() + "\n"


def main(arguments: list[str] | None = None) -> int:
    """Write the page, or tell whether it is up to date."""
    pages = {"cli.md": reference_text()}
    return write_or_check(pages, arguments, program="paft_cli.reference", default_directory=DIRECTORY)


def _commands(group: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Commands by their whole name, those of groups in a group's place."""
    for name, command in group.commands.items():
        if isinstance(command, typer.core.TyperGroup):
            yield from _commands(command, f"{prefix}{name} ")
        else:
            yield prefix + name, command


def _command_lines(name: str, command: Any) -> Iterator[str]:
    arguments = [parameter for parameter in command.params if parameter.param_type_name == "argument"]
    options = [parameter for parameter in command.params if parameter.param_type_name == "option"]
    usage = " ".join(["paft", name, *(parameter.metavar for parameter in arguments), "[OPTIONS]"])
    yield from (f"## `paft {name}`", "", f"    {usage}", "", command.help.strip(), "")
    if arguments:
        yield from ("| Argument | Meaning |", "|---|---|")
        yield from (f"| `{_in_a_cell(parameter.metavar)}` | {parameter.help} |" for parameter in arguments)
        yield ""
    if options:
        yield from ("| Option | Meaning |", "|---|---|")
        yield from (f"| {_option_names(parameter)} | {_option_help(parameter)} |" for parameter in options)
        yield ""


def _option_names(parameter: Any) -> str:
    value = "" if parameter.is_flag else " " + _in_a_cell(parameter.metavar)
    return ", ".join(f"`{name}{value}`" for name in (*parameter.opts, *parameter.secondary_opts))


def _in_a_cell(text: str) -> str:
    return text.replace("|", "\\|")


def _option_help(parameter: Any) -> str:
    if parameter.required:
        return f"{parameter.help} Required."
    if parameter.is_flag or parameter.default is None:
        return str(parameter.help)
    return f"{parameter.help} Default: {parameter.default}."


if __name__ == "__main__":
    sys.exit(main())
