"""The peer: the least that a kopf operator can do. Each report is written to its PaftJob's status, and that is all.

    python -m benchmarks.operator_load.peer

No cache, no queue, no plan, no coalescing, no Lease, no Events; a report that is missed stays missed.
"""

import asyncio
import json
from typing import Any

import aiohttp
import kopf

from paft_api import labels
from paft_api.spec.job import API_VERSION, KIND
from paft_api.stage_pods import REPORT_KEY
from paft_operator.cluster.connection import Connection
from paft_operator.cluster.resources import PAFT_JOBS
from paft_operator.cluster.watching import SELECTOR

READY = "the peer watches"


async def _run() -> None:
    connection = Connection()
    registry = kopf.OperatorRegistry()
    ready = asyncio.Event()
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=connection.info.as_ssl_context())) as session:

        @kopf.on.login(registry=registry)
        def log_in(**_: Any) -> kopf.ConnectionInfo:
            return connection.info

        @kopf.on.event("", "v1", "configmaps", registry=registry)
        async def write_status(event: Any, **_: Any) -> None:
            text = (event["object"].get("data") or {}).get(REPORT_KEY)
            if text is not None and event["type"] is not None:
                await _patch(session, connection, event["object"]["metadata"], json.loads(text))
            elif not ready.is_set():
                ready.set()
                print(READY, flush=True)

        await kopf.operator(registry=registry, settings=_settings(), clusterwide=True, standalone=True)


async def _patch(
    session: aiohttp.ClientSession, connection: Connection, metadata: dict[str, Any], report: dict[str, Any]
) -> None:
    name, namespace = metadata["labels"][labels.JOB_NAME], metadata["namespace"]
    stage = {"name": metadata["labels"][labels.STAGE], "state": "Running", "step": report["progress"]["step"]}
    status = {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {"name": name, "namespace": namespace},
        "status": {"stages": [stage]},
    }
    async with session.patch(
        connection.info.server.rstrip("/") + PAFT_JOBS.path(namespace, name, "status"),
        params={"fieldManager": f"peer-{stage['name']}", "force": "true"},
        data=json.dumps(status),
        headers={"Content-Type": "application/apply-patch+yaml", "Accept": "application/json"},
    ) as response:
        await response.read()
        response.raise_for_status()


def _settings() -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.scanning.disabled = True
    settings.peering.standalone = True
    settings.watching.label_selectors["", "v1", "configmaps"] = SELECTOR
    return settings


if __name__ == "__main__":
    asyncio.run(_run())
