"""README.md of the chart: how to install it, and a table of its values."""

import json

from hack.chart.values import Value, leaves

from paft_api.generated_pages import NOTE

_TEXT = """\
# paft-operator

{note}

Helm chart of the PAFT operator. It serves `PaftJob` resources, each of which trains a sparse SFT adapter and a
preference adapter in parallel and merges both exactly into one checkpoint. It needs Kubernetes {kubernetes} and
Helm 3.18 or newer, or Helm 4.

    helm install paft-operator helm/paft-operator --namespace paft-system --create-namespace
    kubectl apply --filename examples/mistral-7b.yaml

No value is needed. The guides [Install the operator](../../docs/guides/install-the-operator.md) and
[Deliver PaftJobs by GitOps](../../docs/guides/gitops.md) tell more.

## Values

A name that is not in this table is an error.

| Value | Default | Meaning |
|---|---|---|
{rows}
"""


def readme(values: tuple[Value, ...], *, kubernetes: str) -> str:
    """Text of README.md; `kubernetes` is the chart's kubeVersion."""
    rows = "\n".join(_row(value) for value in leaves(values))
    return _TEXT.format(note=NOTE, kubernetes=kubernetes.removesuffix("-0").replace(">=", "") + " or newer", rows=rows)


def _row(value: Value) -> str:
    choices = (
        f" One of {', '.join(f'`{choice}`' for choice in value.schema['enum'])}." if "enum" in value.schema else ""
    )
    default = json.dumps(value.default, ensure_ascii=False)
    meaning = (value.description + choices).replace("|", "\\|")
    return f"| `{value.path}` | `{default}` | {meaning} |"
