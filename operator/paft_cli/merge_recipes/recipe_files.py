"""`--recipe FILE` and `--candidates FILE`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from paft_api.documents import nearest_place
from paft_api.errors import JobFileFinding, JobFileInvalid
from paft_api.stages import ARMS, StageName
from paft_api.yaml_documents import FieldPath, Json, PlacedDocument, read_document, render_path
from paft_cli.errors import CommandError
from paft_cli.merge_recipes.mergekit import is_mergekit, read_mergekit
from paft_cli.merge_recipes.mergekit_settings import NotExpressible

_NOT_OF_A_RECIPE = {
    "output": "the command line says where the output goes; remove it and use --output, --form, --rank and "
    "--max-shard-size",
    "resources": "they are those of a pod; remove it",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class RecipeInputs:
    """What a recipe merges. `base_digest`, `digests`: what has to be found there, where the recipe says so."""

    base: str
    adapters: Mapping[StageName, str]
    base_digest: str | None = None
    digests: Mapping[StageName, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class RecipeFile:
    """What a file says about a merge.

    `fields`: some of MergeSpec's, as in documents. `document` has the place of each field in the file; it is None for
    mergekit's YAML, in which the fields have other names. `inputs`: base and adapters, where the file names them.
    `notes`: what is done otherwise than mergekit would.
    """

    path: Path
    fields: dict[str, Json]
    document: PlacedDocument | None = None
    inputs: RecipeInputs | None = None
    notes: tuple[str, ...] = ()


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
        adapters = {StageName.SFT: mergekit.sft, StageName.PREFERENCE: mergekit.preference}
        inputs = RecipeInputs(base=mergekit.base, adapters=adapters)
        return RecipeFile(path=path, fields=mergekit.options, inputs=inputs, notes=mergekit.notes)
    for name, reason in _NOT_OF_A_RECIPE.items():
        if name in content:
            raise _refusal(path, document, (name,), reason)
    fields = {name: value for name, value in content.items() if name not in ("base", "adapters")}
    return RecipeFile(path=path, fields=fields, document=document, inputs=_inputs(path, document, content))


def _inputs(path: Path, document: PlacedDocument, content: Mapping[str, Json]) -> RecipeInputs | None:
    """Of a recipe that a merge wrote (merge_recipe.yaml), which has them both."""
    if "base" not in content and "adapters" not in content:
        return None
    base = _reference(path, document, content, ("base",))
    sft, preference = (_reference(path, document, content, ("adapters", arm.value)) for arm in ARMS)
    digests = {arm: one["digest"] for arm, one in zip(ARMS, (sft, preference), strict=True) if "digest" in one}
    return RecipeInputs(
        base=base["uri"],
        adapters=dict(zip(ARMS, (sft["uri"], preference["uri"]), strict=True)),
        base_digest=base.get("digest"),
        digests=digests,
    )


def _reference(
    path: Path, document: PlacedDocument, content: Mapping[str, Json], field: tuple[str, ...]
) -> dict[str, str]:
    found: Json = dict(content)
    for name in field:
        found = found.get(name) if isinstance(found, dict) else None
    if not isinstance(found, dict) or "uri" not in found or not all(isinstance(one, str) for one in found.values()):
        raise _refusal(path, document, field, "it must have a uri; write {uri: …}, or remove base and adapters")
    return {name: str(value) for name, value in found.items()}


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
