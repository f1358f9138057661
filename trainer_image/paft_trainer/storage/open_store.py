"""One store for all addresses of a stage: `file://` on this machine, `s3://` by what the job says of each source."""

from collections.abc import Callable, Mapping, Sequence

from paft_api.layout import writer_name
from paft_api.run_spec import RunSpec
from paft_api.spec.base import BaseSpec
from paft_api.spec.data import DataSource
from paft_api.spec.storage import StorageSpec
from paft_trainer.storage.dispatching_store import DispatchingStore, Route
from paft_trainer.storage.file_store import FileStore
from paft_trainer.storage.object_store import ObjectStore
from paft_trainer.storage.retries import RetryPolicy
from paft_trainer.storage.s3_connection import S3Connection
from paft_trainer.storage.s3_store import S3Store
from paft_trainer.storage.source_connections import Credentials, source_connection, storage_connection


def open_store(
    storage: StorageSpec,
    *,
    sources: Mapping[str, BaseSpec | DataSource] | None = None,
    folders: Sequence[str] = (),
    credentials: Credentials | None = None,
    writer: str | None = None,
    on_wait: Callable[[str], None] = lambda message: None,
    on_recovered: Callable[[], None] = lambda: None,
) -> ObjectStore:
    """A store that reaches all as storage, but for the base, which is reached in its own way.

    `sources`: by their places in the job file; those of data are reached through `of_source`. `folders`: others that
    are reached as storage although they may lie in the base. `writer`: see FileStore. `on_wait` hears what is waited
    for whenever a call is tried again, `on_recovered` when no call waits any more; both from any thread. Raises
    ConfigInvalid where this machine has no credentials of a name that a source asks for.
    """
    retries = RetryPolicy(window_seconds=storage.retry_window, on_wait=on_wait, on_recovered=on_recovered)
    credentials = credentials if credentials is not None else Credentials(())
    stores: dict[S3Connection, ObjectStore] = {}

    def reached(connection: S3Connection) -> ObjectStore:
        if connection not in stores:
            stores[connection] = S3Store(connection, retries=retries)
        return stores[connection]

    default = storage_connection(storage, credentials)
    routes = [Route(uri, reached(default)) for uri in (storage.artifacts_uri, *folders)]
    for place, source in (sources or {}).items():
        connection = source_connection(place, source, storage, credentials)
        if isinstance(source, BaseSpec):
            routes.append(Route(source.uri, reached(connection)))

    def s3_of(source: BaseSpec | DataSource) -> ObjectStore:
        return reached(source_connection(source.uri, source, storage, credentials))

    return DispatchingStore({"file": FileStore(writer), "s3": reached(default)}, routes, s3_of=s3_of)


def open_run_store(
    run_spec: RunSpec,
    *,
    on_wait: Callable[[str], None] = lambda message: None,
    on_recovered: Callable[[], None] = lambda: None,
) -> ObjectStore:
    """The store of one attempt. See `open_store`."""
    identity = run_spec.identity
    merge = run_spec.merge.spec if run_spec.merge is not None else run_spec.prepare and run_spec.prepare.merge
    return open_store(
        run_spec.storage,
        sources=run_spec.sources,
        folders=(merge.output.uri,) if merge is not None else (),
        credentials=Credentials(run_spec.credentials),
        writer=writer_name(identity.stage, identity.job_uid, identity.attempt),
        on_wait=on_wait,
        on_recovered=on_recovered,
    )
