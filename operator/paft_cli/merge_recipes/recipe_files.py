"""`--recipe FILE` and `--candidates FILE`."""

from dataclasses import dataclass
from pathlib import Path

from paft_api.documents import nearest_place
from paft_api.errors import JobFileFinding, JobFileInvalid
from paft_api.yaml_documents import FieldPath, Json, PlacedDocument, read_document, render_path
from paft_cli.errors import CommandError
from paft_cli.merge_recipes.mergekit import MergekitRecipe, is_mergekit, read_mergekit
from paft_cli.merge_recipes.mergekit_settings import NotExpressible

_NOT_OF_A_RECIPE = {
    "output": "the command line says where the output goes; remove it and use --output, --form, --rank and "
    "--max-shard-size",
    "resources": "they are those of a pod; remove it",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class RecipeFile:
    """What a file says about a merge.

    `fields`: some of MergeSpec's, as in documents. `document` has the place of each field in the file; it is None for
    mergekit's YAML, in which the fields have other names. `mergekit`: what that says besides.
    """

    path: Path
    fields: dict[str, Json]
    document: PlacedDocument | None = None
    mergekit: MergekitRecipe | None = None


def read_recipe(path: Path) -> RecipeFile:
    """Read `--recipe`: fields of spec.merge, or mergekit's YAML. Raises CommandError with all that is wrong."""
    document = _read(path, "recipe")
    content = document.content
    if not isinstance(content, dict):
        raise _refusal(path, document, (), "the file holds no recipe: it is not a map")
    if is_mergekit(content):
        try:
            mergekit = read_mergekit(content)
        except NotExpressible as error:
            raise _refusal(path, document, error.path, str(error)) from error
        return RecipeFile(path=path, fields=mergekit.options, mergekit=mergekit)
    for name, reason in _NOT_OF_A_RECIPE.items():
        if name in content:
            raise _refusal(path, document, (name,), reason)
    return RecipeFile(path=path, fields=content, document=document)


def read_candidates(path: Path) -> RecipeFile:
    """Read `--candidates`: a list, as in spec.merge.candidates. Raises CommandError with all that is wrong."""
    document = _read(path, "list of candidates")
    if not isinstance(document.content, list):
        raise _refusal(path, document, (), "the file holds no list of candidates: write - name: … for each")
    below = {("candidates", *place): position for place, position in document.places.items()}
    fields: dict[str, Json] = {"candidates": document.content}
    return RecipeFile(path=path, fields=fields, document=PlacedDocument(content=fields, places=below))


def _read(path: Path, holds: str) -> PlacedDocument:
    try:
        document = read_document(path, holds)
    except JobFileInvalid as error:
        raise CommandError(str(error)) from error
    if document.findings:
        raise CommandError(str(JobFileInvalid(str(path), [finding for _, finding in document.findings])))
    return document


def _refusal(path: Path, document: PlacedDocument, field: FieldPath, message: str) -> CommandError:
    line, column = nearest_place(document, field)
    return CommandError(
        JobFileFinding(line=line, column=column, path=render_path(field), message=message).render(str(path))
    )
