"""`paft submit FILE`."""

from pathlib import Path

from paft_api.yaml_documents import read_document
from paft_cli.cluster.api_server import Object, RequestRefused
from paft_cli.cluster.paft_jobs import PaftJobs
from paft_cli.commands.documents import print_document
from paft_cli.commands.job_files import read_job
from paft_cli.errors import CommandError
from paft_cli.job_document import JobDocument, JobEnd
from paft_cli.targets import ClusterOptions

_CONFLICT = "FieldManagerConflict"


def submit(file: Path, options: ClusterOptions, *, dry_run: bool, force: bool, output: str) -> None:
    """Check a job file, then apply it. Raises CommandError with everything that is wrong with it."""
    read_job(file)
    jobs = PaftJobs.of(options)
    manifest = _manifest(file, options, own_namespace=jobs.connection.namespace)
    name, namespace = manifest["metadata"]["name"], manifest["metadata"]["namespace"]
    before = jobs.find(name, namespace)
    try:
        applied = jobs.apply(manifest, dry_run=dry_run, force=force)
    except RequestRefused as error:
        raise _explained(error, file) from error
    if output == "json":
        print_document(applied.document)
        return
    print(f"PaftJob {namespace}/{name} {_what_happened(before, applied, dry_run=dry_run)}")
    if not dry_run:
        ended = before is not None and applied.end is JobEnd.FAILED
        words = ("retry", name) if ended else ("watch", name)
        print(f"{'It has failed. To try again' if ended else 'To watch it'}:")
        print(f"  {jobs.connection.command(*words, namespace=namespace)}")


def _manifest(file: Path, options: ClusterOptions, *, own_namespace: str) -> Object:
    """What the file says and nothing else: defaults stay the operator's, and other owners' fields theirs."""
    content = read_document(file).content
    assert isinstance(content, dict)
    metadata = content["metadata"]
    assert isinstance(metadata, dict)
    in_file = metadata.get("namespace")
    if in_file is not None and options.namespace is not None and in_file != options.namespace:
        raise CommandError(
            f"{file}: metadata.namespace: {in_file} is not the namespace {options.namespace} of -n; "
            "remove one of the two, or make them the same"
        )
    kept: Object = {key: value for key, value in content.items() if key != "status"}
    return kept | {"metadata": metadata | {"namespace": in_file or own_namespace}}


def _what_happened(before: JobDocument | None, after: JobDocument, *, dry_run: bool) -> str:
    if before is None:
        what = "created"
    elif before.document["spec"] == after.document["spec"]:
        what = "unchanged"
    else:
        what = f"changed, generation {after.generation}"
    if not dry_run:
        return what
    checked = "dry run: the API server has checked it, and nothing is stored"
    return f"would be {what} ({checked})"


def _explained(error: RequestRefused, file: Path) -> CommandError:
    causes = error.details.get("causes") or ()
    if error.status == 409 and any(cause.get("reason") == _CONFLICT for cause in causes):
        lines = [f"{file}: {cause['field'].lstrip('.')}: {cause['message']}" for cause in causes]
        return CommandError(
            "\n".join(lines) + "\nSomebody else has set these fields to something else. Take them out of the file, set "
            "them to what is there, or take them over with --force-conflicts."
        )
    if error.status == 404 and error.details.get("kind") == "namespaces":
        return CommandError(f"{error.said}: create it, or name another with -n")
    if error.status == 422 and causes:
        return CommandError("\n".join(f"{file}: {cause.get('field')}: {cause.get('message')}" for cause in causes))
    return error
