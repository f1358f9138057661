"""Flux's health of an object: CEL expressions over its top-level fields, in a real CEL runtime; and kstatus."""

from pathlib import Path
from typing import Any

import yaml
from cel_expr_python import cel

KUSTOMIZATION = Path(__file__).parents[2] / "docs" / "gitops" / "flux-kustomization.yaml"
_VARIABLES = ("apiVersion", "kind", "metadata", "spec", "status")


def expressions() -> dict[str, str]:
    """The expressions as users copy them."""
    (check,) = yaml.safe_load(KUSTOMIZATION.read_text(encoding="utf-8"))["spec"]["healthCheckExprs"]
    return {name: check[name] for name in ("inProgress", "failed", "current")}


def health(job: dict[str, Any]) -> str:
    """InProgress, Failed or Current, in Flux's order; Unknown where an expression cannot be evaluated: Flux waits."""
    observed = job.get("status", {}).get("observedGeneration")
    if observed is not None and observed != job["metadata"]["generation"]:
        return "InProgress"
    for name, expression in expressions().items():
        verdict = _evaluate(expression, job)
        if verdict is None:
            return "Unknown"
        if verdict:
            return name[0].upper() + name[1:]
    return "InProgress"


def _evaluate(expression: str, job: dict[str, Any]) -> bool | None:
    environment = cel.NewEnv(variables=dict.fromkeys(_VARIABLES, cel.Type.DYN))
    value = environment.compile(expression).eval(data=job)
    if value.type() == cel.Type.ERROR:
        return None
    assert value.type() == cel.Type.BOOL, value
    return bool(value.value())


def kstatus(job: dict[str, Any]) -> str:
    """What kstatus says of any object: `kubectl wait`-like tools, and Flux without expressions."""
    status = job.get("status", {})
    observed = status.get("observedGeneration")
    if observed is not None and observed != job["metadata"]["generation"]:
        return "InProgress"
    true = {condition["type"] for condition in status.get("conditions", ()) if condition["status"] == "True"}
    if "Reconciling" in true:
        return "InProgress"
    return "Failed" if "Stalled" in true else "Current"
