"""Argo CD's health of an object: a Lua script over `obj`, in a real Lua with what Argo CD lets scripts use."""

from pathlib import Path
from typing import Any

import lupa.lua51
import yaml

CONFIG_MAP = Path(__file__).parents[2] / "docs" / "gitops" / "argocd-cm.yaml"
KEY = "resource.customizations.health.paft.dev_PaftJob"

# Argo CD opens the base and table libraries only, so that texts have no methods either.
_SANDBOX = """
getmetatable("").__index = nil
for _, name in ipairs({"string", "math", "io", "os", "debug", "coroutine", "python"}) do _G[name] = nil end
"""


def script() -> str:
    """The script as users copy it."""
    text: str = yaml.safe_load(CONFIG_MAP.read_text(encoding="utf-8"))["data"][KEY]
    return text


def health(job: dict[str, Any]) -> tuple[str, str]:
    """Status and message."""
    lua = lupa.lua51.LuaRuntime(register_eval=False)
    lua.execute(_SANDBOX)
    lua.globals()["obj"] = lua.table_from(job, recursive=True)
    answer = lua.execute(script())
    return answer["status"], answer["message"]
