"""Whatever is wrong with a request is refused by its name, and nothing is written."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from muster.errors import InvalidInput, MusterError
from muster.model.actor import OPERATOR
from muster.verbs import Verb
from unit.stage import VERB_MODULES, Stage, contents, refused

pytestmark = pytest.mark.anyio

MEBIBYTE = 1024 * 1024
AGENT = {"role": "worker", "prompt": "work"}


async def outcome(stage: Stage, verb: str, raw: str | bytes) -> tuple[str, str | None]:
    """The code of a refusal and the field that it names; `ok` where there was none."""
    try:
        await stage.engine.call(verb, OPERATOR, raw)
    except InvalidInput as error:
        assert error.message
        assert error.next_step
        json.dumps(error.to_json(), ensure_ascii=False).encode()
        return error.code, error.facts.get("field")
    return "ok", None


def agents(*wishes: Any, **rest: Any) -> dict[str, Any]:
    return {"agents": list(wishes), **rest}


def agent(**changes: Any) -> dict[str, Any]:
    return agents(AGENT | changes)


NOT_TEXT = (5, 5.0, True, None, [], {}, ["text"], {"text": "text"})
SPAWN: list[tuple[Any, str, str | None]] = [
    ({}, "missing_field", "agents"),
    (agents(), "bad_value", "agents"),
    (agents(*[AGENT] * 201), "bad_value", "agents"),
    *(({"agents": wrong}, "wrong_type", "agents") for wrong in ("[]", "false", 5, None, True, {}, AGENT)),
    *((agents(AGENT, wrong), "wrong_type", "agents[1]") for wrong in ("worker", 5, None, True, [], [AGENT])),
    (agents({}), "missing_field", "agents[0].role"),
    (agents({"role": "r"}), "missing_field", "agents[0].prompt"),
    (agents({"prompt": "p"}), "missing_field", "agents[0].role"),
    (agents(AGENT, AGENT, AGENT | {"colour": "red"}), "unknown_field", "agents[2].colour"),
    (agent(Role="r"), "unknown_field", "agents[0].Role"),
    (agents(AGENT, agent=None), "unknown_field", "agent"),
    (agents(AGENT, request_ID="x"), "unknown_field", "request_ID"),
    *((agent(role=wrong), "wrong_type", "agents[0].role") for wrong in NOT_TEXT),
    *((agent(prompt=wrong), "wrong_type", "agents[0].prompt") for wrong in NOT_TEXT),
    *((agent(agent=wrong), "wrong_type", "agents[0].agent") for wrong in NOT_TEXT),
    *((agent(name=wrong), "wrong_type", "agents[0].name") for wrong in NOT_TEXT if wrong is not None),
    *((agent(model=wrong), "wrong_type", "agents[0].model") for wrong in NOT_TEXT if wrong is not None),
    *((agents(AGENT, name=wrong), "wrong_type", "name") for wrong in NOT_TEXT if wrong is not None),
    *((agents(AGENT, project=wrong), "wrong_type", "project") for wrong in NOT_TEXT if wrong is not None),
    *((agent(role=blank), "bad_value", "agents[0].role") for blank in ("", " ", "\t\n", "\u2003", "r" * 65)),
    *((agent(prompt=blank), "bad_value", "agents[0].prompt") for blank in ("", "   ", "\n\n", "\u3000")),
    *((agents(AGENT, name=wrong), "bad_value", "name") for wrong in ("", " ", "n" * 65)),
    *(
        (agent(name=wrong), "bad_value", "agents[0].name")
        for wrong in ("", "A", "-a", "_a", "a b", "a.b", "a/b", "é", "a\n", "a" * 33, "lead", "operator", "muster")
    ),
    (agents(AGENT | {"name": "x"}, AGENT | {"name": "x"}), "bad_value", "agents[1].name"),
    *(
        (agent(model=wrong), "bad_value", "agents[0].model")
        for wrong in ("", "gpt", "/gpt", "openai/", "/", "open ai/gpt", "openai/gpt 5", " openai/gpt", "openai/gpt\n")
    ),
    *((agents(AGENT, project=wrong), "bad_value", "project") for wrong in ("", ".", "src", "/no/such", "~")),
    (agent(agent="bild"), "unknown_persona", None),
    (agent(agent=""), "unknown_persona", None),
    (agent(role="a\0b"), "nul_character", "agents[0].role"),
    (agent(prompt="\0"), "nul_character", "agents[0].prompt"),
    (agent(agent="build\0"), "nul_character", "agents[0].agent"),
    (agents(AGENT, name="\0"), "nul_character", "name"),
    (agents(AGENT, project="/\0"), "nul_character", "project"),
    (agents(AGENT, request_id="\0"), "nul_character", "request_id"),
    *((agents(AGENT, request_id=wrong), "wrong_type", "request_id") for wrong in (5, 5.0, True, [], {})),
    (agents(AGENT, request_id=""), "bad_value", "request_id"),
    (agents(AGENT, request_id="r" * 201), "bad_value", "request_id"),
]


@pytest.fixture
async def rows(stage):
    """The whole database, to be found as it was."""
    before = contents(stage.path)
    yield
    assert contents(stage.path) == before


async def test_every_bad_wish_for_a_fleet_is_refused_by_field(stage, rows):
    found = [
        await outcome(stage, "fleet.spawn", json.dumps({"project": str(stage.project)} | wish)) for wish, *_ in SPAWN
    ]
    wrong = [
        (wish, got, expected) for (wish, *expected), got in zip(SPAWN, found, strict=True) if list(got) != expected
    ]
    assert wrong == []


async def test_unknown_field_inside_an_object_is_told_with_the_fields_of_that_object(stage):
    wish = {"project": str(stage.project), **agents(AGENT, budget={"dollars": 5})}
    with refused("unknown_field") as caught:
        await stage.call("fleet.spawn", **wish)
    assert caught.value.facts["field"] == "budget.dollars"
    assert caught.value.facts["fields"] == "max_turns, max_tokens, max_seconds"


async def test_every_bad_wish_for_one_more_agent_is_refused_by_field(stage):
    spawned = await stage.spawn("a")
    before = contents(stage.path)
    whole = {"fleet_id": spawned["fleet_id"], **AGENT}
    bad = [
        (AGENT, ("missing_field", "fleet_id")),
        (whole | {"fleet_id": 5}, ("wrong_type", "fleet_id")),
        (whole | {"fleet_id": None}, ("wrong_type", "fleet_id")),
        (whole | {"fleet_id": "flt_none"}, ("not_found", None)),
        (whole | {"fleet_id": "flt\0"}, ("nul_character", "fleet_id")),
        (whole | {"fleet_id": spawned["agent_ids"][0]}, ("not_found", None)),
        (whole | {"role": " "}, ("bad_value", "role")),
        (whole | {"prompt": False}, ("wrong_type", "prompt")),
        (whole | {"prompt": "x" * (MEBIBYTE + 1)}, ("bad_value", "prompt")),
        (whole | {"name": "lead"}, ("bad_value", "name")),
        (whole | {"name": "worker"}, ("bad_value", "name")),
        (whole | {"name": "Worker"}, ("bad_value", "name")),
        (whole | {"model": "gpt"}, ("bad_value", "model")),
        (whole | {"agent": "bild"}, ("unknown_persona", None)),
        (whole | {"agents": [AGENT]}, ("unknown_field", "agents")),
        (whole | {"project": str(stage.project)}, ("unknown_field", "project")),
    ]
    found = [(wish, await outcome(stage, "agent.attach", json.dumps(wish))) for wish, _ in bad]
    assert found == bad
    assert contents(stage.path) == before


HUGE = 10**30
OTHERS: list[tuple[str, Any, str, str | None]] = [
    ("fleet.wait", {}, "missing_field", "fleet_id"),
    *(
        ("fleet.wait", {"fleet_id": "f", "timeout_seconds": wrong}, "wrong_type", "timeout_seconds")
        for wrong in ("45", None, True, [], {})
    ),
    *(
        ("fleet.wait", {"fleet_id": "f", "timeout_seconds": wrong}, "bad_value", "timeout_seconds")
        for wrong in (-1, -0.001, 3600.001, HUGE)
    ),
    *(
        ("fleet.wait", {"fleet_id": "f", "until": wrong}, "bad_value", "until")
        for wrong in ("ALL", "", "none", 5, None, True, ["all"])
    ),
    ("fleet.wait", {"fleet_id": "flt_none"}, "not_found", None),
    ("fleet.wait", {"fleet_id": "f", "request_id": "x"}, "unknown_field", "request_id"),
    ("fleet.status", {"fleet_id": "f", "full": "false"}, "wrong_type", "full"),
    ("fleet.status", {"fleet_id": "f", "full": 0}, "wrong_type", "full"),
    ("fleet.status", {"fleet_id": "f", "full": None}, "wrong_type", "full"),
    *(("fleet.list", {"limit": wrong}, "bad_value", "limit") for wrong in (0, -1, 501, HUGE)),
    *(("fleet.list", {"limit": wrong}, "wrong_type", "limit") for wrong in ("5", 5.0, 5.5, True, None)),
    *(("fleet.list", {"status": wrong}, "bad_value", "status") for wrong in ("done", "", 5, True, ["running"])),
    *(
        (verb, {"cursor": wrong}, "bad_value", "cursor")
        for verb in ("fleet.list", "event.list")
        for wrong in (-1, HUGE, -HUGE, 2**63)
    ),
    *((verb, {"cursor": "1"}, "wrong_type", "cursor") for verb in ("fleet.list", "event.list")),
    ("persona.list", {"project": "/", "cursor": -1}, "bad_value", "cursor"),
    ("persona.list", {"project": "relative"}, "bad_value", "project"),
    ("persona.list", {}, "missing_field", "project"),
    ("agent.cancel", {"agent_id": "agt_none"}, "not_found", None),
    ("agent.cancel", {"agent_id": "agt_none", "reason": "r" * 1001}, "bad_value", "reason"),
    ("agent.cancel", {"agent_id": "agt_none", "reason": 5}, "wrong_type", "reason"),
    ("fleet.cancel", {"fleet_id": "flt_none"}, "not_found", None),
    ("fleet.cancel", {"fleet_id": ["flt_none"]}, "wrong_type", "fleet_id"),
    ("result.collect", {"fleet_id": "flt_none"}, "not_found", None),
    ("agent.log", {"agent_id": "agt_none"}, "not_found", None),
    ("agent.brief", {"agent_id": "agt_none"}, "not_found", None),
    ("actor.whoami", {"agent_id": "agt_none"}, "not_found", None),
    ("hub.ping", {"please": True}, "unknown_field", "please"),
]


async def test_every_bad_question_is_refused_by_field(stage, rows):
    found = [await outcome(stage, verb, json.dumps(wish)) for verb, wish, *_ in OTHERS]
    wrong = [(*asked, got) for asked, got in zip(OTHERS, found, strict=True) if got != asked[2:]]
    assert wrong == []


DEEP = "[" * 100_000
NOT_JSON = [
    b"",
    b"{",
    b"nonsense",
    b"[]",
    b"null",
    b"5",
    b'"text"',
    b"true",
    b"{} {}",
    b'{"agents": [],}',
    b"{'agents': []}",
    b'{"name": "\xff"}',
    b'{"name": "\xed\xa0\x80"}',
    b'{"name": "a\x00b"}',
    b'{"name": "a\nb"}',
    b'{"name": "\\ud800"}',
    b'{"name": "\\udc00\\ud800"}',
    b'{"request_id": "\\ud800", "agents": []}',
    b'{"request_id": "x", "name": "\\ud800"}',
    b'{"request_id": "x", "name": "\xff"}',
    b'{"request_id": "x", "agents": %s' % DEEP.encode(),
    b'{"agents": %s' % DEEP.encode(),
    b'{"request_id": "x", "agents": %s%s}' % (DEEP.encode(), b"]" * 100_000),
    b'\xef\xbb\xbf{"request_id": "x"}',
    '{"request_id": "x"}'.encode("utf-16"),
    b'{"name": %s}' % (b"9" * 5000),
    b'{"request_id": "x", "name": %s}' % (b"9" * 5000),
    b'{"name": NaN}',
    b'{"name": -Infinity}',
    b'{"name": "a", "name": "b"}',
    b'{"agents": [{"role": "a", "role": "b", "prompt": "p"}]}',
    b'{"request_id": "x", "request_id": "y", "agents": []}',
    b'{"request_id": "x", "agents": [{"role": "a", "role": "b", "prompt": "p"}]}',
]


async def test_what_is_no_sound_json_object_is_refused_as_such(stage, rows):
    for raw in NOT_JSON:
        assert (raw[:60], *await outcome(stage, "fleet.spawn", raw)) == (raw[:60], "malformed_json", None)


async def test_unknown_persona_is_told_with_the_nearest_names(stage, rows):
    for persona, nearest in (("biuld", "build"), ("generel", "general"), ("zzz", "build, general")):
        with refused("unknown_persona") as caught:
            await stage.call("fleet.spawn", **agent(agent=persona), project=str(stage.project))
        assert caught.value.facts["nearest"] == nearest


async def test_unknown_verb_is_told_with_the_nearest_names(stage):
    with refused("not_found") as caught:
        await stage.call("flet.spawn")
    assert "fleet.spawn" in caught.value.next_step


@pytest.mark.parametrize("letter", ["x", "é", "€", "😀"])
async def test_prompt_of_one_mebibyte_is_taken_and_of_one_byte_more_refused(stage, letter):
    wide = len(letter.encode())
    whole = letter * (MEBIBYTE // wide) + "x" * (MEBIBYTE % wide)
    before = contents(stage.path)
    with refused("bad_value") as caught:
        await stage.spawn(whole + "x")
    assert caught.value.facts["field"] == "agents[0].prompt"
    assert len(str(caught.value.to_json())) < 2000
    assert contents(stage.path) == before
    spawned = await stage.spawn(whole)
    status = await stage.call("fleet.status", fleet_id=spawned["fleet_id"], full=True)
    assert status["agents"][0]["prompt"] == whole


async def test_two_hundred_agents_are_taken_and_one_more_is_refused(stage):
    spawned = await stage.spawn(*["p"] * 200)
    assert len(set(spawned["agent_ids"])) == 200
    before = contents(stage.path)
    with refused("conflict"):
        await stage.call("agent.attach", fleet_id=spawned["fleet_id"], **AGENT)
    assert contents(stage.path) == before


async def test_names_that_were_asked_for_come_first_and_others_are_numbered_around_them(stage):
    wishes = [
        {"role": "Code Reviewer"},
        {"role": "x", "name": "code-reviewer"},
        {"role": "code reviewer!"},
        {"role": "Lead"},
    ]
    spawned = await stage.call(
        "fleet.spawn", agents=[{"prompt": "p", **wish} for wish in wishes], project=str(stage.project)
    )
    status = await stage.call("fleet.status", fleet_id=spawned["fleet_id"])
    names = [row["name"] for row in status["agents"]]
    assert names == ["code-reviewer-2", "code-reviewer", "code-reviewer-3", "lead-2"]
    assert [row["agent_id"] for row in status["agents"]] == spawned["agent_ids"]


async def test_text_with_odd_but_lawful_letters_is_kept_to_the_letter(stage):
    prompt = "line\r\n\ttab \\u0000 \u2028 \u202e \ufeff \x7f \x1b[31m 😀 é"
    spawned = await stage.spawn(prompt)
    status = await stage.call("fleet.status", fleet_id=spawned["fleet_id"], full=True)
    assert status["agents"][0]["prompt"] == prompt


LETTERS = st.text(st.characters(codec="utf-8"), max_size=8)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | LETTERS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(LETTERS, inner, max_size=3),
    max_leaves=6,
)
VERBS = [value for module in VERB_MODULES for value in vars(module).values() if isinstance(value, Verb)]
OPERATORS = sorted({verb.name for verb in VERBS if OPERATOR.kind in verb.by})
FIELDS = sorted({field for verb in VERBS for field in verb.arguments.model_fields})
WISHES = st.dictionaries(st.sampled_from([*FIELDS, "request_id", "colour"]), JSON, max_size=5)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.sampled_from(OPERATORS), wish=WISHES)
async def test_any_json_is_answered_or_refused_in_our_words(stage, name, wish):
    before = contents(stage.path)
    try:
        answer = await stage.engine.call(name, OPERATOR, json.dumps(wish))
    except InvalidInput as error:
        json.dumps(error.to_json(), ensure_ascii=False, allow_nan=False).encode()
        assert contents(stage.path) == before
    else:
        json.dumps(answer, ensure_ascii=False, allow_nan=False).encode()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(raw=st.binary(max_size=60) | LETTERS.map('{{"request_id": "{}"}}'.format))
async def test_any_bytes_are_answered_or_refused_in_our_words(stage, raw):
    before = contents(stage.path)
    with pytest.raises(MusterError) as caught:
        await stage.engine.call("fleet.cancel", OPERATOR, raw)
    assert isinstance(caught.value, InvalidInput)
    assert contents(stage.path) == before


def test_every_verb_has_a_name_of_its_own_a_description_and_a_schema():
    distinct = {id(verb): verb for verb in VERBS}.values()
    names = [verb.name for verb in distinct]
    assert sorted(names) == sorted(set(names))
    for verb in distinct:
        assert verb.description.endswith((".", "it."))
        if OPERATOR.kind in verb.by:
            assert verb.arguments.model_json_schema()["additionalProperties"] is False
