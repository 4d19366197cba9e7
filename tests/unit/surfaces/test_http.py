"""One shape for every refusal, one stream for every fact."""

import json
from collections.abc import AsyncIterator
from typing import Any

import anyio
import httpx2
import pytest

from muster.hosts.scripted import ScriptedHost
from muster.surfaces import http as http_module
from unit.stage import WITHIN_SECONDS, contents, hub
from unit.surfaces import mishaps
from unit.surfaces.doors import caller, code, web

pytestmark = pytest.mark.anyio


async def test_every_family_of_errors_has_its_status_and_the_one_shape(tmp_path, clock, caplog):
    async with (
        ScriptedHost({}) as host,
        hub(tmp_path, host, clock, mishaps) as stage,
        web(stage) as url,
        caller(url, stage.keyring.operator()) as operator,
    ):
        for how, (_, *expected) in mishaps.FAILURES.items():
            answer = await operator.post("/api/v1/mishap.fail", json={"how": how})
            assert (how, *code(answer)) == (how, *expected)


async def test_path_that_leads_nowhere_is_not_found_in_the_one_shape(operator):
    for method, path in (
        ("POST", "/api/v1/"),
        ("POST", "/api/v1/fleet/list"),
        ("POST", "/api/v1/fleet.list/"),
        ("POST", "/api/v2/fleet.list"),
        ("GET", "/"),
        ("GET", "/../../etc/passwd"),
    ):
        answer = await operator.request(method, path)
        assert (method, path, code(answer)) == (method, path, (404, "not_found"))


async def test_method_that_a_path_does_not_take_is_said_with_the_one_that_it_takes(operator):
    for method, path, takes in (
        ("GET", "/api/v1/fleet.list", {"POST"}),
        ("PUT", "/api/v1/fleet.list", {"POST"}),
        ("POST", "/healthz", {"GET", "HEAD"}),
        ("DELETE", "/api/v1/events", {"GET", "HEAD"}),
        ("POST", "/openapi.json", {"GET", "HEAD"}),
    ):
        answer = await operator.request(method, path)
        assert (method, path, code(answer)) == (method, path, (405, "wrong_method"))
        assert set(answer.headers["allow"].split(", ")) == takes


async def test_verb_that_does_not_exist_is_not_found_with_the_nearest_names(operator):
    for name in ("fleet.lst", "%00", "x" * 5000, "..", "fleet.list%2F", "__class__"):
        answer = await operator.post(f"/api/v1/{name}")
        assert (name, code(answer)) == (name, (404, "not_found"))
    assert "fleet.list" in (await operator.post("/api/v1/fleet.lst")).json()["error"]["next"]


async def test_verbs_of_the_system_are_no_suggestion(operator):
    for name in ("run.finsh", "zzz"):
        assert "run." not in (await operator.post(f"/api/v1/{name}")).json()["error"]["next"]


async def test_verbs_of_the_system_are_denied_to_everybody(operator, stage):
    system = [name for name, verb in stage.engine.catalog.items() if {kind.value for kind in verb.by} == {"system"}]
    assert "run.finish" in system
    for name in system:
        assert (name, code(await operator.post(f"/api/v1/{name}", json={}))) == (name, (403, "denied"))


async def test_body_that_is_too_large_is_refused_and_changes_nothing(operator, stage, monkeypatch):
    monkeypatch.setattr(http_module, "BODY_BYTES", 1000)
    before = contents(stage.path)
    wish = {"agents": [{"role": "r", "prompt": "x" * 1000}], "project": str(stage.project)}
    assert code(await operator.post("/api/v1/fleet.spawn", json=wish)) == (400, "too_large")
    assert contents(stage.path) == before
    assert (await operator.post("/api/v1/hub.ping", content=b"{}" + b" " * 998)).json()["ok"] is True
    assert code(await operator.post("/api/v1/hub.ping", content=b"{}" + b" " * 999)) == (400, "too_large")


async def test_body_that_comes_in_pieces_is_bounded_too(operator, monkeypatch):
    monkeypatch.setattr(http_module, "BODY_BYTES", 1000)

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(50):
            yield b" " * 100

    assert code(await operator.post("/api/v1/hub.ping", content=pieces())) == (400, "too_large")


async def test_no_body_is_no_arguments(operator):
    assert (await operator.post("/api/v1/hub.ping")).json()["ok"] is True


async def test_answer_of_a_verb_is_what_the_engine_says(operator, stage):
    spawned = await stage.spawn("a")
    answer = await operator.post("/api/v1/fleet.status", json={"fleet_id": spawned["fleet_id"]})
    assert answer.json() == await stage.call("fleet.status", fleet_id=spawned["fleet_id"])


# ── the journal as a stream ──────────────────────────────────────────────────────────────────────


async def told(http: httpx2.AsyncClient, count: int, headers: dict[str, str] | None = None, **query: Any) -> list[Any]:
    """The first events of a stream, each as (id, name, entry)."""
    events: list[Any] = []
    with anyio.fail_after(WITHIN_SECONDS):
        async with http.stream("GET", "/api/v1/events", params=query, headers=headers) as answer:
            assert answer.status_code == 200
            fields: dict[str, str] = {}
            async for line in answer.aiter_lines():
                name, _, value = line.partition(": ")
                fields |= {name: value}
                if not line and "data" in fields:
                    events.append((int(fields["id"]), fields["event"], json.loads(fields["data"])))
                    fields = {}
                if len(events) == count:
                    return events
    raise AssertionError("the stream ended")


async def test_stream_tells_the_journal_from_a_cursor_and_resumes_where_it_was_left(operator, stage):
    await stage.spawn("a", "b")
    journal = await stage.events()
    first = await told(operator, 2, after=0)
    rest = await told(operator, len(journal) - 2, {"last-event-id": str(first[-1][0])}, after=0)
    assert [entry for *_, entry in first + rest] == journal
    assert [(id, name) for id, name, _ in first + rest] == [(entry["cursor"], entry["name"]) for entry in journal]


async def test_stream_without_a_cursor_begins_now(operator, stage):
    await stage.spawn("before")
    names: list[Any] = []

    async def listen() -> None:
        names.extend(await told(operator, 1))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(listen)
        with anyio.fail_after(WITHIN_SECONDS):
            while not names:
                await stage.spawn("after", name="after")
                await anyio.wait_all_tasks_blocked()
    assert names[0][2]["body"].get("name") != "before"
    assert names[0][0] > 3


async def test_stream_is_narrowed_to_a_fleet_or_an_agent(operator, stage):
    await stage.spawn("a")
    second = await stage.spawn("b", "c")
    by_fleet = await told(operator, 5, after=0, fleet=second["fleet_id"])
    by_agent = await told(operator, 2, after=0, agent=second["agent_ids"][1])
    assert {entry["fleet"] for *_, entry in by_fleet} == {second["fleet_id"]}
    assert [name for _, name, _ in by_agent] == ["agent.attached", "run.queued"]


async def test_stream_refuses_a_cursor_that_is_none(operator):
    for cursor in ("x", "-1", "1.5", "", " 1", "9" * 19, "9" * 5000, "٣", "²"):
        answer = await operator.get("/api/v1/events", params={"after": cursor})
        assert (cursor, code(answer)) == (cursor, (400, "bad_value"))
    for cursor in ("x", "-1", "9" * 19, "9" * 5000):
        answer = await operator.get("/api/v1/events", headers={"last-event-id": cursor})
        assert (cursor, code(answer)) == (cursor, (400, "bad_value"))


async def test_stream_refuses_a_cursor_beyond_the_journal(operator, stage):
    await stage.spawn("a")
    head = stage.engine.head
    answer = await operator.get("/api/v1/events", headers={"last-event-id": str(head + 1)})
    assert code(answer) == (400, "bad_value")
    assert str(head) in answer.json()["error"]["message"]


async def test_events_of_what_does_not_exist_are_not_found(operator):
    for name in ("fleet", "agent"):
        streamed = await operator.get("/api/v1/events", params={name: "flt_nobody"})
        listed = await operator.post("/api/v1/event.list", json={f"{name}_id": "flt_nobody"})
        assert (name, code(streamed), code(listed)) == (name, (404, "not_found"), (404, "not_found"))


async def test_stream_refuses_a_filter_that_it_does_not_have(operator):
    assert code(await operator.get("/api/v1/events", params={"flet": "flt_1"})) == (400, "unknown_field")


async def test_stream_is_denied_to_agents(url, stage):
    spawned = await stage.spawn("a")
    async with caller(url, stage.keyring.agent(spawned["agent_ids"][0])) as agent:
        assert code(await agent.get("/api/v1/events")) == (403, "denied")


async def test_listener_that_goes_away_leaves_the_others(operator, stage):
    await stage.spawn("a")
    for _ in range(3):
        await told(operator, 1, after=0)
    assert (await operator.post("/api/v1/hub.ping")).json()["ok"] is True
