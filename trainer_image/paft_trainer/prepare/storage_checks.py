"""Rights: what the arms will do in the artifacts folder is done once, on a probe."""

from paft_api.spec.storage import StorageSpec
from paft_trainer.errors import ConfigInvalid
from paft_trainer.publishing import supports_conditional_put
from paft_trainer.storage import ObjectStore


def check_artifact_rights(store: ObjectStore, storage: StorageSpec, probe: str) -> None:
    """Write, read and delete at `probe`. Raises StorageAuth, and ConfigInvalid where a store knows no conditions."""
    if supports_conditional_put(store, probe) or storage.allow_unconditional_publish:
        return
    raise ConfigInvalid(
        f"{storage.artifacts_uri}: this object store ignores conditional writes (If-None-Match), so two jobs could "
        "write one folder without noticing",
        remedy="Use a store with conditional writes, or set storage.allowUnconditionalPublish: true and take care.",
    )
