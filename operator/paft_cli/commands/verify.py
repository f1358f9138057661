"""`paft verify`: whether a folder still holds what was published or indexed."""

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from paft_api.spec.storage import StorageSpec
from paft_api.verification import FolderKind, Verification, VerifiedFolder
from paft_cli.commands.documents import print_document
from paft_cli.commands.merge import as_uri
from paft_cli.commands.run import require_trainer
from paft_cli.errors import EXIT_FAILED, CommandError
from paft_cli.local.directories import paft_home
from paft_cli.tables import aligned, format_bytes

VERIFICATION_COMMAND = (sys.executable, "-P", "-m", "paft_trainer.verification")
"""Options and a URI are appended. -P: modules in the current directory are not the trainer's."""

_COMPARED_WITH: dict[FolderKind, str] = {"merge": "manifest", "adapter": "manifest", "base": "index"}


@dataclass(frozen=True, kw_only=True, slots=True)
class VerifyArguments:
    """The command line, as it was given."""

    uri: str
    artifacts: str | None
    digest: str | None
    endpoint: str | None
    region: str | None


def verify_folder(arguments: VerifyArguments, *, output: str, command: Sequence[str] = VERIFICATION_COMMAND) -> int:
    """Read, compare and print; returns the exit code. Raises CommandError for arguments that cannot work."""
    if command == VERIFICATION_COMMAND:
        require_trainer()
    # Progress and errors of the trainer go to stderr as they come.
    ended = subprocess.run([*command, *_command_line(arguments)], stdout=subprocess.PIPE, text=True, check=False)
    if ended.returncode != 0:
        return EXIT_FAILED
    verification = Verification.model_validate_json(ended.stdout)
    if output == "json":
        print_document({"sound": verification.is_sound, **verification.to_document()})
    else:
        print("\n\n".join(_text(folder) for folder in verification.folders))
        print(f"{verification.seconds:.1f} s")
    return 0 if verification.is_sound else EXIT_FAILED


def _command_line(arguments: VerifyArguments) -> list[str]:
    # What paft merge read is indexed there.
    artifacts = as_uri(arguments.artifacts) if arguments.artifacts is not None else (paft_home() / "cache").as_uri()
    try:
        storage = StorageSpec(artifacts_uri=artifacts, endpoint=arguments.endpoint, region=arguments.region)
        folder = VerifiedFolder(
            uri=as_uri(arguments.uri), kind="base", digest=arguments.digest, files=0, bytes=0, problems=()
        )
    except ValidationError as error:
        raise CommandError("\n".join(_explained(error))) from error
    line = [folder.uri, "--artifacts", storage.artifacts_uri]
    for option, value in (
        ("--digest", arguments.digest),
        ("--endpoint", arguments.endpoint),
        ("--region", arguments.region),
    ):
        line += [option, value] if value is not None else []
    return line


def _explained(error: ValidationError) -> list[str]:
    names = {"artifactsUri": "--artifacts", "artifacts_uri": "--artifacts", "uri": "URI"}
    lines = []
    for one in error.errors():
        field = str(one["loc"][0])
        lines.append(f"{names.get(field, '--' + field)} {one['input']!r}: {one['msg']}")
    return lines


def _text(folder: VerifiedFolder) -> str:
    digest = "" if folder.digest is None else f", {folder.digest}"
    what = f"{folder.uri}: {folder.kind}, {folder.files} files, {format_bytes(folder.bytes)}{digest}"
    unlisted = f"\nnot checked, as it was not published: {', '.join(folder.unlisted)}" if folder.unlisted else ""
    if not folder.problems:
        return f"{what}\nevery file is what the {_COMPARED_WITH[folder.kind]} says{unlisted}"
    rows = [("FILE", "PROBLEM", "WHAT IS WRONG")]
    rows += [(problem.file, problem.kind.value, problem.message) for problem in folder.problems]
    remedies = dict.fromkeys(f"{problem.kind}: {problem.remedy}" for problem in folder.problems)
    count = "1 problem" if len(folder.problems) == 1 else f"{len(folder.problems)} problems"
    return "\n".join([f"{what}\n{count}", "", aligned(rows), "", "What to do:", *remedies]) + unlisted
