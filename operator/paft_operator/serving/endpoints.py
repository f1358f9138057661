"""/healthz, /readyz and /metrics over HTTP."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST

from paft_operator.serving.health import Health
from paft_operator.serving.metrics import Metrics

logger = logging.getLogger(__name__)


@asynccontextmanager
async def endpoints(health: Health, metrics: Metrics, *, address: str, port: int) -> AsyncIterator[int]:
    """Serve until the block ends; yields the port."""

    async def alive(request: web.Request) -> web.Response:
        return _verdict("")

    async def ready(request: web.Request) -> web.Response:
        return _verdict(health.not_ready)

    async def tell(request: web.Request) -> web.Response:
        return web.Response(body=metrics.render(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    application = web.Application()
    application.add_routes([web.get("/healthz", alive), web.get("/readyz", ready), web.get("/metrics", tell)])
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, address, port).start()
        bound: int = runner.addresses[0][1]
        logger.info("serving /healthz, /readyz and /metrics on %s:%d", address, bound)
        yield bound
    finally:
        await runner.cleanup()


def _verdict(objection: str) -> web.Response:
    return web.Response(text=objection or "ok", status=503 if objection else 200)
