"""HTTP to one host server: authentication, bounds, and the one place where foreign errors become ours."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any  # Any: what OpenCode answers is JSON, which has no finite type
from urllib.parse import quote

import anyio
import httpx2

from muster.errors import HostAway, HostFailed, SessionLost, ungrouped

USER = "opencode"
HEALTH = "/global/health"
HEALTH_SECONDS = 0.5
CONNECT_SECONDS = 3
# The first call in a directory loads its whole instance: many seconds on a loaded machine.
ANSWER_SECONDS = 30
# OpenCode sends a heartbeat every 10 seconds.
QUIET_STREAM_SECONDS = 30
EVENT = "data:"


async def healthy_version(*, port: int, password: str, seconds: float = HEALTH_SECONDS) -> str | None:
    """The version of a server that says it is well, else None.

    Asked on a new connection: one that was made before the server was ready is never answered.
    """
    async with _http(port, password, seconds) as http:
        try:
            answer = await http.get(HEALTH)
        except httpx2.TransportError:
            return None
    told = answer.json() if answer.is_success else {}
    return str(told.get("version")) if told.get("healthy") is True else None


class Client:
    """Calls in the name of one server. Raises `HostAway`, `SessionLost` and `HostFailed`, and nothing else."""

    def __init__(self, *, server: str, port: int, password: str) -> None:
        self._server = server
        self._http = _http(port, password, ANSWER_SECONDS)

    async def get(self, path: str, directory: str, *, session: str = "", **params: str | int) -> Any:
        """`session` names the session that a 404 is about."""
        return await self._ask("GET", path, directory, session, params=params)

    async def post(self, path: str, directory: str, body: Mapping[str, Any], *, session: str = "") -> Any:
        return await self._ask("POST", path, directory, session, json=body)

    async def events(self) -> AsyncIterator[Mapping[str, Any]]:
        """What the server tells of all its directories, until the stream ends."""
        timeout = httpx2.Timeout(CONNECT_SECONDS, read=QUIET_STREAM_SECONDS)
        self._require_open()
        try:
            async with self._http.stream("GET", "/global/event", timeout=timeout) as stream:
                self._require_success(stream, "")
                async for line in stream.aiter_lines():
                    if line.startswith(EVENT):
                        yield json.loads(line.removeprefix(EVENT))
        except (httpx2.TransportError, httpx2.StreamError, ValueError) as exc:
            raise self._away(exc) from exc

    async def aclose(self) -> None:
        await self._http.aclose()

    async def _ask(self, method: str, path: str, directory: str, session: str, **rest: Any) -> Any:
        # The header is percent-decoded once, a query parameter twice, so only the header can say every path.
        headers = {"x-opencode-directory": quote(directory)}
        self._require_open()
        try:
            answer = await self._http.request(method, path, headers=headers, **rest)
            self._require_success(answer, session)
            return answer.json() if answer.content else None
        except (httpx2.TransportError, httpx2.StreamError, ValueError) as exc:
            raise self._away(exc) from exc

    def _require_open(self) -> None:
        """Whoever still speaks through it came late: its server was replaced meanwhile."""
        if self._http.is_closed:
            raise HostAway(host="opencode", server=self._server, why="it was replaced")

    def _require_success(self, answer: httpx2.Response, session: str) -> None:
        if answer.is_success:
            return
        if answer.status_code == httpx2.codes.UNAUTHORIZED:
            raise HostAway(host="opencode", server=self._server, why="another server answers on its port")
        if answer.status_code == httpx2.codes.NOT_FOUND and session:
            raise SessionLost(host="opencode", session=session)
        raise HostFailed(
            host="opencode", why=f"{answer.request.url.path} answered {answer.status_code}: {_words(answer)}"
        )

    def _away(self, exc: Exception) -> HostAway:
        return HostAway(host="opencode", server=self._server, why=str(exc) or type(exc).__name__)


async def together(*calls: Callable[[], Awaitable[Any]]) -> list[Any]:
    """What several calls answer, made beside each other. Raises what the first of them raised that failed."""
    answers: list[Any] = [None] * len(calls)

    async def make(index: int, call: Callable[[], Awaitable[Any]]) -> None:
        answers[index] = await call()

    with ungrouped():
        async with anyio.create_task_group() as tasks:
            for index, call in enumerate(calls):
                tasks.start_soon(make, index, call)
    return answers


def _http(port: int, password: str, seconds: float) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(
        base_url=f"http://127.0.0.1:{port}",
        auth=(USER, password),
        timeout=httpx2.Timeout(seconds, connect=min(seconds, CONNECT_SECONDS)),
        trust_env=False,  # a proxy of the user's must not see it
        verify=False,  # plain HTTP on the loopback; saves reading the certificates
    )


def _words(answer: httpx2.Response) -> str:
    """The server's own words, if it has any; of a configuration that it refuses, what is wrong where."""
    try:
        told = answer.json()
        data = told.get("data") or {}
        issues = [f"{'.'.join(issue['path'])}: {issue['message']}" for issue in data.get("issues") or ()]
        return " ".join([data.get("path", ""), *issues]).strip() or str(data.get("message") or told.get("name") or told)
    except (ValueError, AttributeError, KeyError, TypeError, httpx2.ResponseNotRead):
        return answer.reason_phrase
