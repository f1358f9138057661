"""What is to become of one thing in storage."""

from collections.abc import Callable
from dataclasses import dataclass

from paft_api.storage_survey import ItemKind, StorageItem
from paft_trainer.keeping.contents import Uploads
from paft_trainer.storage import UnfinishedUpload


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """`name`: relative to the folder that was judged. `objects`: what is deleted, in this order, relative too.
    `attempt`: whose it is, where it is one attempt's. `size`: bytes. `why`: the proof, or what is missing for one."""

    kind: ItemKind
    name: str
    remove: bool
    why: str
    objects: tuple[str, ...] = ()
    attempt: str | None = None
    upload: UnfinishedUpload | None = None
    size: int | None = None

    @property
    def key(self) -> tuple[str, str, str]:
        """What makes it the same thing when it is looked at again."""
        return self.kind, self.name, self.upload.upload_id if self.upload is not None else ""

    def to_item(self, folder: str) -> StorageItem:
        """As users are told."""
        return StorageItem(
            kind=self.kind,
            uri=folder + self.name,
            upload_id=self.upload.upload_id if self.upload is not None else None,
            bytes=self.size,
            remove=self.remove,
            why=self.why,
        )


def upload_verdicts(
    uploads: Uploads, *, remove: bool, why: str, prefix: str = "", attempt: str | None = None
) -> list[Verdict]:
    """One verdict on several streamed writes; `prefix` is put before their names."""
    return [
        Verdict(
            kind=ItemKind.UPLOAD,
            name=prefix + name,
            remove=remove,
            why=why,
            attempt=attempt,
            upload=upload,
        )
        for name, some in sorted(uploads.items())
        for upload in some
    ]


def split_uploads(uploads: Uploads, is_ours: Callable[[str], bool]) -> tuple[Uploads, Uploads]:
    """Those that are ours, and the others. Temporary files of `file://` are ours by their very name, which is their
    upload's id; of others `is_ours` tells by the name of what they would become."""
    ours = {
        name: some
        for name, some in uploads.items()
        if is_ours(name) or all(upload.upload_id == name.rpartition("/")[2] for upload in some)
    }
    return ours, {name: some for name, some in uploads.items() if name not in ours}
