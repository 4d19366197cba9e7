"""The Python client, against a served hub and against one that breaks off."""

import json
import os
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import anyio.to_thread
import pytest

from muster.errors import BadValue, Broken, Conflict, MusterError, NoHub, NotFound, Unavailable
from muster.surfaces import client
from muster.surfaces.client import Hub, rebuilt
from unit.stage import Stage, refused
from unit.surfaces.false_hub import FalseHub, answer, break_off, break_off_inside, false_hub, raw, stream

PONG = {"ok": True}


@pytest.fixture(autouse=True)
def _short_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "RETURN_SECONDS", 0.5)
    monkeypatch.setattr(client, "PAUSE_SECONDS", 0.01)


def announce(stage: Stage, url: str) -> Hub:
    """hub.json as the hub writes it, and whoever finds it."""
    told = {"url": url, "token": stage.keyring.operator(), "pid": os.getpid(), "version": "0"}
    (stage.path.parent / "hub.json").write_text(json.dumps(told))
    return Hub.find(stage.path.parent, environment={})


def found(hub: FalseHub, home: Path, **environment: str) -> Hub:
    hub.announce(home)
    return Hub.find(home, environment=environment)


async def in_thread(function: Any, *arguments: Any, **named: Any) -> Any:
    return await anyio.to_thread.run_sync(partial(function, *arguments, **named))


async def test_call_answers_what_the_hub_answers(stage, url):
    hub = announce(stage, url)
    assert await in_thread(hub.ask, "hub.ping") == await stage.call("hub.ping")


async def test_error_comes_back_as_the_class_it_was_with_the_hubs_own_words(stage, url):
    hub = announce(stage, url)
    for verb, arguments in (("fleet.status", {"fleet_id": "flt_none"}), ("fleet.list", {"limit": 0}), ("no.such", {})):
        with pytest.raises(MusterError) as there:
            await stage.call(verb, **arguments)
        with pytest.raises(type(there.value)) as here:
            await in_thread(hub.ask, verb, **arguments)
        assert (here.value.to_json(), str(here.value)) == (there.value.to_json(), str(there.value))
        assert (here.value.exit_code, here.value.status) == (there.value.exit_code, there.value.status)


@pytest.mark.parametrize(
    ("status", "family"), [(400, MusterError), (404, NotFound), (409, Conflict), (503, Unavailable), (500, MusterError)]
)
def test_error_of_a_newer_hub_is_told_by_its_family_and_keeps_its_code(status, family):
    told = {"code": "of_the_future", "message": "{braces} stay", "next": "Do {it}.", "facts": {"new": 1}}
    error = rebuilt(told, status)
    assert isinstance(error, family)
    assert (error.status, error.to_json()) == (status, {"error": told})


def test_rebuilding_an_error_leaves_its_class_as_it_was():
    before = (BadValue.code, BadValue.says, BadValue.next)
    rebuilt({"code": "bad_value", "message": "m", "next": "n", "facts": {}}, 400)
    assert (BadValue.code, BadValue.says, BadValue.next) == before
    assert isinstance(rebuilt({}, 500), Broken | MusterError)


def test_no_hub_file_is_no_hub(tmp_path):
    with refused("no_hub"):
        Hub.find(tmp_path, environment={})


def test_hub_file_without_a_hub_is_no_hub_at_once(tmp_path):
    with false_hub(answer(PONG)) as hub:
        caller = found(hub, tmp_path)
    with refused("no_hub"):
        caller.ask("hub.ping")


def test_another_program_on_the_hubs_port_is_said_to_be_no_hub(tmp_path):
    for act in (raw(b"<html>"), answer({"detail": "no"}, status=404), answer([1]), raw(b"<html>", status=502)):
        with false_hub(act) as hub, refused("unavailable"):
            found(hub, tmp_path).ask("hub.ping")


@pytest.mark.parametrize("break_", [break_off, break_off_inside])
def test_question_that_was_cut_off_is_asked_again(tmp_path, break_):
    with false_hub(break_, answer(PONG)) as hub:
        assert found(hub, tmp_path).ask("hub.ping") == PONG


def test_change_that_was_cut_off_is_sent_again_under_the_same_request_id(tmp_path):
    with false_hub(break_off_inside, break_off, answer(PONG)) as hub:
        assert found(hub, tmp_path).call("fleet.spawn", request_id="one", agents=[]) == PONG
    assert [request.json for request in hub.received] == [{"agents": [], "request_id": "one"}] * 3


def test_change_without_a_request_id_is_sent_once_and_its_end_is_said_to_be_unknown(tmp_path):
    with false_hub(break_off_inside, answer(PONG)) as hub, refused("unavailable") as caught:
        found(hub, tmp_path).call("fleet.spawn", agents=[])
    assert len(hub.received) == 1
    assert "may have been done" in caught.value.message


def test_hub_that_stays_away_is_waited_for_only_so_long(tmp_path):
    with false_hub(break_off) as hub, refused("unavailable"):
        found(hub, tmp_path).ask("hub.ping")
    assert len(hub.received) > 1


def test_hub_that_comes_back_on_another_port_is_found_there(tmp_path):
    with false_hub(answer(PONG)) as new:

        def move(_: Any) -> list[bytes]:
            new.announce(tmp_path)
            return []

        with false_hub(move) as old:
            assert found(old, tmp_path).ask("hub.ping") == PONG


def test_caller_is_whom_the_environment_says(tmp_path):
    says = {
        "operator-token": {"MUSTER_TOKEN": "", "MUSTER_AGENT_TOKEN": ""},
        "agents": {"MUSTER_AGENT_TOKEN": "agents", "MUSTER_SERVER": "srv_1"},
        "own": {"MUSTER_TOKEN": "own", "MUSTER_AGENT_TOKEN": "agents"},
    }
    with false_hub(answer(PONG)) as hub:
        for environment in says.values():
            found(hub, tmp_path, **environment).ask("hub.ping")
    assert [request.headers["authorization"] for request in hub.received] == [f"Bearer {token}" for token in says]


def test_nobody_below_a_host_server_is_the_operator(tmp_path):
    with false_hub(answer(PONG)) as hub, refused("denied"):
        found(hub, tmp_path, MUSTER_SERVER="srv_1")


def test_agents_shell_finds_the_hub_that_started_it(tmp_path, monkeypatch):
    monkeypatch.delenv("MUSTER_HOME", raising=False)
    with false_hub(answer(PONG)) as hub:
        hub.announce(tmp_path)
        agent = Hub.find(environment={"MUSTER_AGENT_HOME": str(tmp_path), "MUSTER_AGENT_TOKEN": "agents"})
        assert agent.ask("hub.ping") == PONG


def test_hub_is_told_where_the_caller_stands(tmp_path, monkeypatch):
    folder = tmp_path / "a b\nü"
    folder.mkdir()
    monkeypatch.chdir(folder)
    with false_hub(answer(PONG)) as hub:
        found(hub, tmp_path).ask("hub.ping")
    assert hub.received[0].headers["x-muster-directory"] == f"{tmp_path}/a%20b%0A%C3%BC"


async def test_threads_share_a_hub_without_mixing_their_answers(stage, url):
    hub = announce(stage, url)
    answers: list[dict[str, Any]] = []

    async def ask(limit: int) -> None:
        with pytest.raises(BadValue) as caught:
            await in_thread(hub.ask, "fleet.list", limit=limit)
        answers.append({"asked": str(limit), "got": caught.value.facts["got"]})

    async with anyio.create_task_group() as tasks:
        for number in range(-20, 0):
            tasks.start_soon(ask, number)
    assert len(answers) == 20
    assert all(told["asked"] == told["got"] for told in answers)


async def test_events_come_from_a_cursor_on_and_go_on_live(stage, url):
    hub = announce(stage, url)
    first = await stage.spawn("one")
    following = hub.events(after=0, fleet=first["fleet_id"])
    told = [await in_thread(next, following)]
    await stage.call("fleet.cancel", fleet_id=first["fleet_id"])
    while told[-1]["name"] != "fleet.quieted":
        told.append(await in_thread(next, following))
    await in_thread(following.close)
    assert [event["cursor"] for event in told] == [event["cursor"] for event in await stage.events()]


async def test_events_of_the_journal_are_the_operators(stage, url):
    announce(stage, url)
    spawned = await stage.spawn("one")
    token = stage.keyring.agent(spawned["agent_ids"][0])
    agent = Hub.find(stage.path.parent, environment={"MUSTER_AGENT_TOKEN": token})
    with refused("denied"):
        await in_thread(next, agent.events(after=0))


def event(cursor: int) -> bytes:
    return b': ping\r\n\r\nid: %d\r\nevent: x.y\r\ndata: {\r\ndata: "cursor": %d}\r\n\r\n' % (cursor, cursor)


def test_lost_stream_goes_on_behind_the_last_event(tmp_path):
    with false_hub(stream(event(7), event(8)), break_off, break_off_inside, stream(event(9))) as hub:
        told = list(islice(found(hub, tmp_path).events(after=5, agent="agt_1"), 3))
    assert [one["cursor"] for one in told] == [7, 8, 9]
    assert [request.headers["last-event-id"] for request in hub.received] == ["5", "8", "8", "8"]
    assert {request.path for request in hub.received} == {"/api/v1/events?agent=agt_1"}


def test_lost_inbox_goes_on_behind_the_last_message(tmp_path):
    with false_hub(break_off, stream(event(7), event(8)), break_off_inside, stream(event(9))) as hub:
        told = list(islice(found(hub, tmp_path).inbox("agt_1"), 3))
    assert [one["cursor"] for one in told] == [7, 8, 9]
    assert [request.headers.get("last-event-id") for request in hub.received] == [None, None, "8", "8"]
    assert {request.path for request in hub.received} == {"/api/v1/inbox/agt_1/stream"}


def test_stream_that_stays_lost_ends_with_a_reason(tmp_path):
    with false_hub(stream(event(7)), break_off) as hub:
        following = found(hub, tmp_path).events(after=0)
        next(following)
        with refused("unavailable"):
            next(following)


def test_stream_without_a_hub_is_refused_at_once(tmp_path):
    with false_hub(break_off) as hub:
        caller = found(hub, tmp_path)
    with pytest.raises(NoHub):
        next(caller.events(after=0))
