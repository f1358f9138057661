"""The client in bad times, against an HTTP server whose answers are written down beforehand."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from paft_operator.cluster import api_client
from paft_operator.cluster.api_client import ApiClient
from paft_operator.cluster.connection import Connection, ConnectionMissing
from paft_operator.cluster.errors import ApiError, ApiUnreachable, NotLeading
from paft_operator.cluster.resources import CONFIG_MAPS, JOBS

OBJECT = {"metadata": {"name": "x", "namespace": "team-a"}}
OK = (200, OBJECT, {})


class Server:
    """Answers requests one after the other; the last answer is repeated. None: the connection is cut."""

    def __init__(self, answers: list[Any]) -> None:
        self._answers = answers
        self.requests: list[tuple[str, str, Any]] = []
        self.tokens: list[str] = []

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.requests.append((request.method, request.path_qs, await request.text()))
        self.tokens.append(request.headers.get("Authorization", ""))
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if answer is None:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        if answer == "silence":
            await asyncio.sleep(5)
        status, content, headers = answer
        text = content if isinstance(content, str) else json.dumps(content)
        return web.Response(status=status, text=text, headers=headers)


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api_client, "_FIRST_PAUSE", 0.01)


def _kubeconfig(folder: Path, server: str, token: str) -> Path:
    file = folder / "kubeconfig"
    content = {
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u", "namespace": "team-a"}}],
        "clusters": [{"name": "c", "cluster": {"server": server}}],
        "users": [{"name": "u", "user": {"token": token}}],
    }
    file.write_text(json.dumps(content), encoding="utf-8")
    return file


Use = Callable[[ApiClient], Awaitable[Any]]


@pytest.fixture
def with_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[Any, Server]]:
    """Runs a use of the client against a server with these answers."""

    def run(answers: list[Any], use: Use, **options: Any) -> tuple[Any, Server]:
        async def scenario() -> tuple[Any, Server]:
            server = Server(answers)
            application = web.Application()
            application.router.add_route("*", "/{path:.*}", server.answer)
            runner = web.AppRunner(application, shutdown_timeout=0.1)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            address = f"http://127.0.0.1:{runner.addresses[0][1]}"
            monkeypatch.setenv("KUBECONFIG", str(_kubeconfig(tmp_path, address, "first")))
            client = ApiClient(Connection(), **({"timeout_seconds": 2.0} | options))
            try:
                return await use(client), server
            finally:
                await client.close()
                await runner.cleanup()

        return asyncio.run(scenario())

    return run


def _get(client: ApiClient) -> Awaitable[Any]:
    return client.get(JOBS, "team-a", "x")


PASSING = {
    "too many requests": (429, {}, {}),
    "an error of the server": (500, "boom", {}),
    "unavailable": (503, {}, {}),
    "a cut connection": None,
    "an answer of something else": (200, "<html>", {}),
}


@pytest.mark.parametrize("trouble", PASSING.values(), ids=PASSING.keys())
def test_what_passes_is_tried_again(with_answers: Any, trouble: Any) -> None:
    found, server = with_answers([trouble, trouble, OK], _get)

    assert found == OBJECT
    assert server.requests == [("GET", "/apis/batch/v1/namespaces/team-a/jobs/x", "")] * 3


def test_what_does_not_pass_is_given_up(with_answers: Any) -> None:
    with pytest.raises(ApiUnreachable, match="ServerDisconnected"):
        with_answers([None], _get)


def test_silence_is_no_answer(with_answers: Any) -> None:
    with pytest.raises(ApiUnreachable, match="Timeout"):
        with_answers(["silence"], _get, timeout_seconds=0.05)


@pytest.mark.parametrize("status", [400, 403, 409, 422])
def test_a_refusal_is_not_tried_again(with_answers: Any, status: int) -> None:
    said = {"kind": "Status", "reason": "Because", "message": "exceeded quota"}

    async def use(client: ApiClient) -> tuple[ApiError, int]:
        with pytest.raises(ApiError) as caught:
            await client.create(JOBS, OBJECT)
        return caught.value, 0

    (error, _), server = with_answers([(status, said, {})], use)
    assert (error.status, error.reason, str(error)) == (status, "Because", "exceeded quota")
    assert len(server.requests) == 1


def test_a_field_that_the_schema_lacks_is_not_tried_again(with_answers: Any) -> None:
    async def use(client: ApiClient) -> ApiError:
        with pytest.raises(ApiError) as caught:
            await client.apply(CONFIG_MAPS, OBJECT)
        return caught.value

    said = {"message": "failed to create typed patch object: .status.new: field not declared in schema"}
    error, server = with_answers([(500, said, {})], use)
    assert error.is_unknown_field
    assert len(server.requests) == 1


def test_the_server_is_left_alone_for_as_long_as_it_asks(with_answers: Any) -> None:
    began = time.monotonic()
    with_answers([(429, {}, {"Retry-After": "1"}), OK], _get)

    assert time.monotonic() - began >= 1.0


def test_a_long_wait_is_left_to_the_queue(with_answers: Any) -> None:
    async def use(client: ApiClient) -> ApiError:
        with pytest.raises(ApiError) as caught:
            await _get(client)
        return caught.value

    error, server = with_answers([(429, {}, {"Retry-After": "30"})], use)
    assert (error.retry_after, len(server.requests)) == (30.0, 1)


def test_what_is_not_there(with_answers: Any) -> None:
    async def use(client: ApiClient) -> None:
        assert await client.get(JOBS, "team-a", "x") is None
        assert await client.merge(CONFIG_MAPS, "team-a", "x", {}) is None
        await client.delete(JOBS, "team-a", "x")

    with_answers([(404, {}, {})], use)


def test_credentials_are_read_again_where_they_are_refused(with_answers: Any, tmp_path: Path) -> None:
    async def use(client: ApiClient) -> Any:
        file = tmp_path / "kubeconfig"
        file.write_text(file.read_text(encoding="utf-8").replace("first", "second"), encoding="utf-8")
        return await _get(client)

    found, server = with_answers([(401, {}, {}), OK], use)
    assert (found, server.tokens) == (OBJECT, ["Bearer first", "Bearer second"])


def test_a_list_comes_in_pages(with_answers: Any) -> None:
    async def use(client: ApiClient) -> list[tuple[int, int]]:
        return [(len(page.items), page.version) async for page in client.pages(JOBS, None, labels="a=b")]

    first = (200, {"metadata": {"resourceVersion": "7", "continue": "more"}, "items": [OBJECT, OBJECT]}, {})
    last = (200, {"metadata": {"resourceVersion": "7"}, "items": None}, {})
    pages, server = with_answers([first, last], use)

    assert pages == [(2, 7), (0, 7)]
    assert [path for _, path, _ in server.requests] == [
        "/apis/batch/v1/jobs?limit=100&labelSelector=a%3Db",
        "/apis/batch/v1/jobs?limit=100&labelSelector=a%3Db&continue=more",
    ]


def test_nothing_is_written_by_who_does_not_lead(with_answers: Any) -> None:
    def not_leading() -> None:
        raise NotLeading

    async def use(client: ApiClient) -> None:
        await client.get(JOBS, "team-a", "x")
        for write in (
            client.create(JOBS, OBJECT),
            client.apply(CONFIG_MAPS, OBJECT),
            client.merge(CONFIG_MAPS, "team-a", "x", {}),
            client.replace(CONFIG_MAPS, OBJECT),
            client.delete(JOBS, "team-a", "x"),
        ):
            with pytest.raises(NotLeading):
                await write

    _, server = with_answers([OK], use, before_write=not_leading)
    assert [method for method, _, _ in server.requests] == ["GET"]


def test_without_credentials_there_is_a_word(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))

    with pytest.raises(ConnectionMissing, match="set KUBECONFIG"):
        Connection()
