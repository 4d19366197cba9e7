import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import httpx2
import pytest

from muster.errors import PortTaken, Unavailable
from muster.rehearsal import Kind, Outcome, Rehearsal, opencode_config, parse_scenario

pytestmark = pytest.mark.anyio


class Client:
    """Asks a rehearsal as OpenCode would."""

    def __init__(self, http: httpx2.AsyncClient) -> None:
        self.http = http

    async def ask(self, *messages: dict, session: str = "ses_1", **body: object) -> httpx2.Response:
        request = {"model": "model", "stream": True, "messages": list(messages) or [user("go")], **body}
        headers = {"x-session-id": session, "x-parent-session-id": "ses_0"}
        return await self.http.post("/v1/chat/completions", json=request, headers=headers)


@asynccontextmanager
async def playing(steps: str) -> AsyncIterator[tuple[Rehearsal, Client]]:
    scenario = parse_scenario(f"title: A title\nagents: [{{name: one, steps: [{steps}]}}]")
    async with Rehearsal.serve(scenario) as rehearsal, httpx2.AsyncClient(base_url=rehearsal.url) as http:
        yield rehearsal, Client(http)


def user(text: str) -> dict:
    return {"role": "user", "content": [{"type": "text", "text": text}]}


def tool(name: str) -> dict:
    return {"type": "function", "function": {"name": name, "parameters": {}}}


def chunks(answer: httpx2.Response) -> list[dict]:
    lines = [line.removeprefix("data: ") for line in answer.text.splitlines() if line]
    assert lines[-1] == "[DONE]"
    return [json.loads(line) for line in lines[:-1]]


def text(answer: httpx2.Response) -> str:
    return "".join(choice["delta"].get("content", "") for chunk in chunks(answer) for choice in chunk["choices"])


async def test_streamed_answer_has_text_calls_finish_and_usage():
    steps = "{say: I look., call: {tool: read, arguments: {path: a}}, usage: {input: 9, cached: 1, output: 4}}"
    async with playing(steps) as (_, client):
        answer = await client.ask(tools=[tool("read")])
    last, usage = chunks(answer)[-2:]
    calls = [call for chunk in chunks(answer) for c in chunk["choices"] for call in c["delta"].get("tool_calls", [])]
    assert text(answer) == "I look."
    assert [(call["index"], call["function"]) for call in calls] == [
        (0, {"name": "read", "arguments": '{"path": "a"}'})
    ]
    assert last["choices"][0]["finish_reason"] == "tool_calls"
    assert (usage["usage"]["prompt_tokens"], usage["usage"]["completion_tokens"]) == (10, 4)


async def test_answer_that_is_not_streamed_is_one_object():
    async with playing("{say: hello}") as (_, client):
        answer = (await client.ask(stream=False)).json()
    assert answer["choices"][0]["message"] == {"role": "assistant", "content": "hello"}
    assert answer["choices"][0]["finish_reason"] == "stop"


async def test_request_is_recorded_with_who_asked_what():
    async with playing("{say: hello}") as (rehearsal, client):
        await client.ask(user("hi"), tools=[tool("read")])
    (request,) = rehearsal.requests
    assert (request.session, request.parent_session, request.kind) == ("ses_1", "ses_0", Kind.CHAT)
    assert (request.script, request.step, request.model, request.tools) == ("one", 0, "model", ("read",))
    assert [message.text for message in request.messages] == ["hi"]
    assert request.outcome is Outcome.ANSWERED


async def test_conversation_without_a_session_is_known_by_its_first_message():
    async with playing("{say: hello}") as (rehearsal, client):
        for words in ("a", "b", "a"):
            await client.ask(user(words), session="")
    first, second, third = (request.session for request in rehearsal.requests)
    assert first == third != second


async def test_title_request_is_answered_aside():
    async with playing("{say: hello}") as (rehearsal, client):
        answer = await client.ask({"role": "system", "content": "You are a title generator."}, user("go"))
    assert text(answer) == "A title"
    assert [(request.kind, request.script) for request in rehearsal.requests] == [(Kind.TITLE, None)]


async def test_scenario_that_does_not_fit_answers_400_and_is_recorded():
    async with playing('{say: "${read.id}"}') as (rehearsal, client):
        answer = await client.ask()
        shown = (await client.http.get("/rehearsal/failures")).json()
    assert answer.status_code == 400
    assert [(failure.request, failure.session, failure.script, failure.step) for failure in rehearsal.failures] == [
        (0, "ses_1", "one", 0)
    ]
    assert [failure["why"] for failure in shown] == [failure.why for failure in rehearsal.failures]
    assert rehearsal.requests[0].outcome is Outcome.FAILED


async def test_body_that_is_no_chat_request_is_refused_and_recorded():
    async with playing("{say: hello}") as (rehearsal, client):
        answer = await client.ask(messages="none")
    assert answer.status_code == 400
    assert [(failure.request, failure.session) for failure in rehearsal.failures] == [(None, None)]


async def test_refusal_is_given_so_many_times_in_each_conversation():
    async with playing("{say: ok, status: 429, retry_after: 3, body: slow down, times: 2}") as (_, client):
        answers = [await client.ask(session=session) for session in ("ses_1", "ses_1", "ses_2", "ses_1")]
    assert [answer.status_code for answer in answers] == [429, 429, 429, 200]
    assert (answers[0].headers["retry-after"], answers[0].text) == ("3", "slow down")


async def test_refusal_without_times_is_given_for_ever():
    async with playing("{status: 500}") as (rehearsal, client):
        answers = [await client.ask() for _ in range(3)]
    assert [answer.status_code for answer in answers] == [500, 500, 500]
    assert {request.outcome for request in rehearsal.requests} == {Outcome.REFUSED}
    assert rehearsal.failures == ()


@pytest.mark.parametrize("stream", [True, False])
async def test_cut_drops_the_connection(stream: bool):
    async with playing("{say: one two, cut: 5}") as (rehearsal, client):
        with pytest.raises(httpx2.RemoteProtocolError):
            await client.ask(stream=stream)
    assert rehearsal.requests[0].outcome is Outcome.CUT


async def test_truncated_stream_ends_well_without_a_finish():
    async with playing("{say: one two, truncate: 5}") as (_, client):
        answer = await client.ask()
    assert '"content": "one "' in answer.text and '"content": "t"' in answer.text
    assert "[DONE]" not in answer.text and '"stop"' not in answer.text


async def test_silence_lasts_until_the_client_leaves():
    async with playing("{silence: true}") as (rehearsal, client):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client.ask)
            await rehearsal.until(lambda request: request.outcome is Outcome.SILENT)
            tasks.cancel_scope.cancel()
        (request,) = await rehearsal.until(lambda request: request.outcome is Outcome.LEFT)
    assert request.step == 0


async def test_silence_of_some_seconds_is_followed_by_the_answer():
    async with playing("{say: at last, silence: 0.01}") as (_, client):
        assert text(await client.ask()) == "at last"


async def test_silence_in_the_middle_doubles_and_loses_nothing():
    async with playing("{say: at last, silence: 0.01, after: 4}") as (_, client):
        assert text(await client.ask()) == "at last"


async def test_held_requests_wait_for_the_release():
    async with playing("{say: through, hold: gate}") as (rehearsal, client), anyio.create_task_group() as tasks:
        for session in ("ses_1", "ses_2"):
            tasks.start_soon(lambda session=session: client.ask(session=session))
        await rehearsal.held("gate", 2)
        assert {request.outcome for request in rehearsal.requests} == {Outcome.HELD}
        rehearsal.release("gate")
        await rehearsal.until(lambda request: request.outcome is Outcome.ANSWERED, count=2)


async def test_gate_is_released_over_http_for_whoever_comes_later():
    async with playing("{say: through, hold: gate}") as (_, client):
        await client.http.post("/rehearsal/release/gate")
        assert text(await client.ask()) == "through"


async def test_waiting_for_what_does_not_come_is_unavailable():
    async with playing("{say: hello}") as (rehearsal, _):
        with pytest.raises(Unavailable):
            await rehearsal.until(lambda request: True, within=0.01)
        with pytest.raises(Unavailable):
            await rehearsal.held("gate", within=0.01)


async def test_closing_ends_what_is_under_way():
    async with anyio.create_task_group() as tasks:
        async with playing("{silence: true}") as (rehearsal, client):
            tasks.start_soon(_lose, client)
            await rehearsal.until(lambda request: request.outcome is Outcome.SILENT)
        assert rehearsal.requests[0].outcome is Outcome.LEFT


async def _lose(client: Client) -> None:
    with pytest.raises((httpx2.RemoteProtocolError, httpx2.ReadError)):
        await client.ask()


async def test_error_of_the_block_comes_out_as_it_is():
    with pytest.raises(ZeroDivisionError):
        async with playing("{say: hello}"):
            raise ZeroDivisionError


async def test_port_that_is_taken_is_a_conflict():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(PortTaken):
            async with Rehearsal.serve(parse_scenario("agents: [{steps: []}]"), port=taken.getsockname()[1]):
                pass


async def test_records_are_shown_to_other_processes():
    async with playing("{say: hello}") as (_, client):
        await client.ask(user("hi"))
        shown = (await client.http.get("/rehearsal/requests")).json()
        models = (await client.http.get("/v1/models")).json()
    assert [(request["session"], request["outcome"]) for request in shown] == [("ses_1", "answered")]
    assert shown[0]["messages"][0]["text"] == "hi"
    assert [model["id"] for model in models["data"]] == ["model"]


async def test_opencode_is_given_no_other_provider_and_a_price():
    config = opencode_config("http://127.0.0.1:1", "rehearsal/big")
    provider = config["provider"]["rehearsal"]
    assert (config["model"], config["small_model"], config["enabled_providers"]) == (
        "rehearsal/big",
        "rehearsal/big",
        ["rehearsal"],
    )
    assert provider["options"]["baseURL"] == "http://127.0.0.1:1/v1"
    assert provider["models"]["big"]["cost"]["output"] > 0
