"""The MergeSpec that flags and files describe together, or every reason why there is none."""

import json
import re
from collections.abc import Mapping, Sequence

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from paft_api.documents import causes, located, nearest_place
from paft_api.errors import JobFileFinding
from paft_api.spec.merge import MergeSpec
from paft_api.yaml_documents import FieldPath, Json, render_path
from paft_cli.errors import CommandError
from paft_cli.merge_recipes.recipe_files import RecipeFile

_PLACE: FieldPath = ("spec", "merge")
"""Of what is put together here in a PaftJob."""
_FLAGS = {"weights": "--weight", "uri": "--output"}
"""Those that are not called as their field."""


def merge_spec_of(
    options: Mapping[str, Json], output: Mapping[str, Json], files: Sequence[RecipeFile] = ()
) -> MergeSpec:
    """Check what was given. `options` and `output`: what flags say, by the names of fields in documents.

    Raises CommandError with all that is wrong, or for what is given more than once.
    """
    fields: dict[str, Json] = {}
    sources: dict[str, RecipeFile] = {}
    for file in files:
        for name, value in file.fields.items():
            if name in sources:
                raise CommandError(f"{sources[name].path} and {file.path} both have {name}; give it once")
            sources[name] = file
            fields[name] = value
    for name, value in options.items():
        if name in sources:
            raise CommandError(f"{_flag(name)} and {sources[name].path} both have {name}; give it once")
        fields[name] = value
    try:
        return MergeSpec.model_validate_json(json.dumps({**fields, "output": dict(output)}))
    except ValidationError as error:
        lines = [_line(details, sources) for details in causes(error.errors(include_url=False))]
        raise CommandError("\n".join(lines)) from error


def _line(details: ErrorDetails, sources: Mapping[str, RecipeFile]) -> str:
    path, message = located(details, _PLACE)
    source = sources.get(str(path[0])) if path else None
    if source is not None:
        return _in_file(source, path, message)
    if not path:
        return message
    names = path[1:] if path[0] == "output" and len(path) > 1 else path
    return f"{_flag(str(names[0]))}: {message}"


def _in_file(source: RecipeFile, path: FieldPath, message: str) -> str:
    if source.document is None:
        return f"{source.path}: {render_path(path)}: {message}"
    line, column = nearest_place(source.document, path)
    shown = JobFileFinding(line=line, column=column, path=render_path(path), message=message)
    return shown.render(str(source.path))


def _flag(name: str) -> str:
    return _FLAGS.get(name, "--" + re.sub("([A-Z])", r"-\1", name).lower())
