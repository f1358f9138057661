"""The newest checkpoint of an arm, as somebody leaves it who ended while saving, or as a disk spoils it."""

from random import Random

from paft_api.layout import CHECKPOINT_MANIFEST_FILE
from paft_trainer.keeping.saved_checkpoints import list_checkpoints
from paft_trainer.storage.file_store import FileStore, path_of


def tear_newest(artifacts: str, how: str, draws: Random) -> int | None:
    """Spoil it; its step, or None where there is none."""
    saved = next(iter(list_checkpoints(FileStore(), artifacts)), None)
    if saved is None:
        return None
    folder = path_of(saved.folder)
    manifest = folder / CHECKPOINT_MANIFEST_FILE
    file = folder / draws.choice(sorted(saved.sha256_by_name))
    content = file.read_bytes()
    match how:
        case "file cut off":
            file.write_bytes(content[: draws.randrange(len(content))])
        case "file gone":
            file.unlink()
        case "file half written":
            half = len(content) // 2
            file.write_bytes(content[:half] + bytes(len(content) - half))
        case "manifest half written":
            manifest.write_bytes(manifest.read_bytes()[: draws.randrange(manifest.stat().st_size)])
        case "manifest gone":
            manifest.unlink()
        case _:
            raise ValueError(how)
    return saved.step
