import json

import pytest

from muster.errors import InvalidInput
from muster.rehearsal import Message, ToolCall, parse_scenario
from muster.rehearsal.conversation import Conversation
from muster.rehearsal.script import cast, cue, recite

SCENARIO = parse_scenario("""
agents:
  - {name: docs, match: {text: You are docs}, steps: [{say: first}, {say: second}]}
  - {name: tests, match: {regex: 'You are \\w+ts\\b', system: careful}, steps: []}
  - {name: anyone, steps: []}
""")


def user(text: str) -> Message:
    return Message(role="user", text=text)


def said(text: str) -> Message:
    return Message(role="assistant", text=text)


def called(name: str, result: str, id: str = "c1") -> tuple[Message, Message]:
    call = ToolCall(id=id, name=name, arguments="{}")
    return Message(role="assistant", text="", calls=(call,)), Message(role="tool", text=result, call_id=id)


def conversation(*messages: Message, tools: tuple[str, ...] = ()) -> Conversation:
    return Conversation(
        session="ses_1",
        parent_session=None,
        model="model",
        messages=messages,
        tools=tools,
        tool_bytes={},
        streamed=True,
    )


def spoken(say: str, *messages: Message) -> str:
    scenario = parse_scenario(json.dumps({"agents": [{"steps": [{"say": say}]}]}))
    return recite(scenario.scripts[0].steps[0], conversation(*messages)).text


def argument(value: object, *messages: Message) -> object:
    call = {"tool": "use", "arguments": {"value": value}}
    scenario = parse_scenario(json.dumps({"agents": [{"steps": [{"call": call}]}]}))
    answer = recite(scenario.scripts[0].steps[0], conversation(*messages, tools=("use",)))
    return json.loads(answer.calls[0].arguments)["value"]


@pytest.mark.parametrize(
    ("messages", "name"),
    [
        ([user("You are docs.")], "docs"),
        ([user("You are tests.")], "anyone"),
        ([Message(role="system", text="Be careful."), user("You are tests.")], "tests"),
        ([user("hello")], "anyone"),
        ([user("You are docs."), said("first"), user("mail: You are tests")], "docs"),
        ([user("hello"), said("done"), user("You are docs.")], "docs"),
    ],
)
def test_the_earliest_message_that_fits_a_script_decides(messages: list[Message], name: str):
    assert cast(SCENARIO, conversation(*messages)).name == name


def test_without_a_default_an_unknown_conversation_is_refused():
    only_docs = parse_scenario("agents: [{match: {text: You are docs}, steps: []}]")
    with pytest.raises(InvalidInput):
        cast(only_docs, conversation(user("hello")))


def test_as_many_steps_are_behind_as_the_conversation_has_assistant_messages():
    docs = SCENARIO.scripts[0]
    history = [user("You are docs."), said("first"), user("go on"), said("second")]
    cues = [cue(docs, conversation(*history[:length])) for length in (1, 2, 3, 4)]
    assert [(index, step.say) for index, step in cues] == [(0, "first"), (1, "second"), (1, "second"), (2, "done")]


def test_the_hosts_own_last_step_notice_is_no_step():
    notice = said("CRITICAL - MAXIMUM STEPS REACHED\n\nThe maximum number of steps")
    assert cue(SCENARIO.scripts[0], conversation(user("You are docs."), notice))[0] == 0


FLEET = called("muster_spawn_fleet", '{"fleet_id": "flt_1", "agents": [{"id": "agt_1"}, {"id": "agt_2"}], "size": 2}')


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("${spawn_fleet.fleet_id}", "flt_1"),
        ("${muster_spawn_fleet.size}", 2),
        ("${spawn_fleet.agents[-1].id}", "agt_2"),
        ("${spawn_fleet.agents}", [{"id": "agt_1"}, {"id": "agt_2"}]),
        ("of ${spawn_fleet.size}: ${spawn_fleet.agents[0]}", 'of 2: {"id": "agt_1"}'),
        ({"deep": ["${spawn_fleet.size}"]}, {"deep": [2]}),
        ("$${spawn_fleet.size}", "${spawn_fleet.size}"),
        (7, 7),
    ],
)
def test_a_value_comes_from_the_tool_result_with_its_type(value: object, expected: object):
    assert argument(value, *FLEET) == expected


@pytest.mark.parametrize(
    "result",
    [
        '{"id": 5}',
        'Spawned {it}.\n{"id": 5}\nGo on.',
        '{"content": [{"type": "text", "text": "{\\"id\\": 5}"}]}',
        '{"content": [], "structuredContent": {"id": 5}}',
    ],
)
def test_a_path_reaches_into_json_prose_and_mcp_results(result: str):
    assert argument("${make.id}", *called("make", result)) == 5


def test_the_latest_result_of_a_tool_counts():
    history = (*called("make", '{"id": 1}', "c1"), *called("make", '{"id": 2}', "c2"), *called("other", "{}", "c3"))
    assert argument("${make.id}", *history) == 2


def test_text_is_taken_whole_or_by_regular_expression():
    history = [user("mail msg_7 from lead"), *called("bash", "a.py\nb.py\n"), user("thanks")]
    assert spoken("${user}|${user ~ msg_(\\d+)}|${bash ~ b.\\w+}|${bash}", *history) == "thanks|7|b.py|a.py\nb.py\n"


@pytest.mark.parametrize(
    "say", ["${spawn.id}", "${spawn_fleet.none}", "${spawn_fleet.agents[2]}", "${spawn_fleet ~ zebra}", "${user}"]
)
def test_a_reference_without_a_value_is_refused(say: str):
    with pytest.raises(InvalidInput):
        spoken(say, *FLEET)


def test_a_name_that_may_mean_two_tools_is_refused():
    with pytest.raises(InvalidInput):
        spoken("${make}", *called("a_make", "1", "c1"), *called("b_make", "2", "c2"))


CALL = parse_scenario("agents: [{steps: [{calls: [{tool: send}, {tool: send}]}]}]").scripts[0].steps[0]


@pytest.mark.parametrize(("offered", "name"), [(("send", "x_send"), "send"), (("x_send", "resend"), "x_send")])
def test_a_call_names_the_offered_tool(offered: tuple[str, ...], name: str):
    answer = recite(CALL, conversation(user("go"), tools=offered))
    assert [call.name for call in answer.calls] == [name, name]
    assert len({call.id for call in answer.calls}) == 2


@pytest.mark.parametrize("offered", [(), ("resend",), ("x_send", "y_send")])
def test_a_call_of_a_tool_that_is_not_offered_once_is_refused(offered: tuple[str, ...]):
    with pytest.raises(InvalidInput):
        recite(CALL, conversation(user("go"), tools=offered))


def test_tokens_grow_with_the_texts():
    few, many = (recite(SCENARIO.scripts[0].steps[0], conversation(user("word " * n))).tokens for n in (10, 1000))
    assert 0 < few.input < many.input
    assert few.output == many.output > 0
