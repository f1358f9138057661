"""What a folder holds, listed once."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from paft_trainer.storage import ObjectInfo, ObjectStore


@dataclass(frozen=True, kw_only=True, slots=True)
class Listing:
    """`uri` ends in `/`. `infos`: by name relative to it, of all folders below too."""

    uri: str
    infos: Mapping[str, ObjectInfo]

    @classmethod
    def of(cls, store: ObjectStore, uri: str) -> Self:
        """List a folder."""
        infos = {info.uri.removeprefix(uri): info for info in store.list(uri)}
        # Consoles show an empty folder by an object with the folder's own name.
        return cls(uri=uri, infos={name: info for name, info in infos.items() if name and not name.endswith("/")})

    def below(self, folder: str) -> "Listing":
        """The listing of a folder in this one."""
        inner = {name.removeprefix(folder): info for name, info in self.infos.items() if name.startswith(folder)}
        return Listing(uri=self.uri + folder, infos=inner)

    @property
    def top_level(self) -> list[str]:
        """Names of files that lie in no folder below."""
        return [name for name in self.infos if "/" not in name]
