from pathlib import Path

import pytest

import muster.rehearsal
from muster.errors import InvalidInput
from muster.rehearsal import load_scenario, parse_scenario
from muster.rehearsal.scenario import Call, Cut, Match, Refusal, Scenario, Script, Silence, Step, Usage

SHIPPED = sorted((Path(muster.rehearsal.__file__).parent / "scenarios").glob("*.yaml"))

WHOLE = """
title: A title
agents:
  - name: docs
    match: {text: You are docs, regex: 'docs\\b', system: careful}
    steps:
      - say: Looking.
        call: {tool: read, arguments: {filePath: README.md, limit: 3}}
        hold: gate
        delay_seconds: 1
        chunk_delay_seconds: 0.5
        usage: {input: 10, cached: 5}
      - {say: late, status: 429, retry_after: 2, body: wait, times: 2}
      - {say: torn, cut: 2}
      - {say: short, truncate: 3}
      - {silence: true}
      - {say: slow, silence: 2}
    then: {say: enough}
  - steps: [{calls: [{tool: a}, {tool: b}]}]
"""


def test_every_key_is_read_into_its_record():
    docs = Script(
        name="docs",
        match=Match(text="You are docs", regex="docs\\b", system="careful"),
        steps=(
            Step(
                say="Looking.",
                calls=(Call(tool="read", arguments={"filePath": "README.md", "limit": 3}),),
                hold="gate",
                delay_seconds=1,
                chunk_delay_seconds=0.5,
                usage=Usage(input=10, cached=5),
            ),
            Step(say="late", mishap=Refusal(status=429, retry_after=2, body="wait"), times=2),
            Step(say="torn", mishap=Cut(after=2)),
            Step(say="short", mishap=Cut(after=3, clean=True)),
            Step(mishap=Silence()),
            Step(say="slow", mishap=Silence(seconds=2)),
        ),
        then=Step(say="enough"),
    )
    default = Script(name="agents[1]", steps=(Step(calls=(Call(tool="a"), Call(tool="b"))),))
    assert parse_scenario(WHOLE) == Scenario(title="A title", scripts=(docs, default))


STEP = "agents: [{steps: [{%s}]}]"


@pytest.mark.parametrize(
    ("text", "code", "place"),
    [
        ("agents: [", "invalid_input", "s.yaml:"),
        ("[]", "wrong_type", "s.yaml:"),
        ("agents: []", "bad_value", "s.yaml: agents"),
        ("title: x", "missing_field", "s.yaml:"),
        ("agents: [{steps: [], stesp: []}]", "unknown_field", "s.yaml: agents[0]"),
        ("agents: [{name: a}]", "missing_field", "s.yaml: agents[0]"),
        ("agents: [{steps: []}, {steps: [{say: 1}]}]", "wrong_type", "s.yaml: agents[1].steps[0].say"),
        ("agents: [{match: {}, steps: []}]", "bad_value", "s.yaml: agents[0].match"),
        ("agents: [{match: {regex: '('}, steps: []}]", "bad_value", "s.yaml: agents[0].match.regex"),
        ("agents: [{steps: [], then: {}}]", "bad_value", "s.yaml: agents[0].then"),
        (STEP % "status: 200", "bad_value", "s.yaml: agents[0].steps[0].status"),
        (STEP % "say: x, status: 429, cut: 1", "bad_value", "s.yaml: agents[0].steps[0]"),
        (STEP % "say: x, times: 1", "bad_value", "s.yaml: agents[0].steps[0]"),
        (STEP % "say: x, retry_after: 1", "bad_value", "s.yaml: agents[0].steps[0]"),
        (STEP % "status: 429, times: 1", "bad_value", "s.yaml: agents[0].steps[0]"),
        (STEP % "cut: 3", "bad_value", "s.yaml: agents[0].steps[0]"),
        (STEP % "silence: 3", "bad_value", "s.yaml: agents[0].steps[0]"),
        (STEP % "say: a, after: 3", "bad_value", "s.yaml: agents[0].steps[0]"),
        (STEP % "silence: false", "wrong_type", "s.yaml: agents[0].steps[0].silence"),
        (STEP % "say: x, delay_seconds: -1", "bad_value", "s.yaml: agents[0].steps[0].delay_seconds"),
        (STEP % "say: x, delay_seconds: -0.5", "bad_value", "s.yaml: agents[0].steps[0].delay_seconds"),
        (STEP % "say: x, delay_seconds: .inf", "bad_value", "s.yaml: agents[0].steps[0].delay_seconds"),
        (STEP % "say: x, usage: {in: 1}", "unknown_field", "s.yaml: agents[0].steps[0].usage"),
        (STEP % "call: {tool: a}, calls: []", "bad_value", "s.yaml: agents[0].steps[0]"),
        (STEP % "call: {tool: a, arguments: []}", "wrong_type", "s.yaml: agents[0].steps[0].call.arguments"),
        (STEP % "call: {tool: a, arguments: {x: 2020-01-01}}", "wrong_type", "s.yaml: agents[0].steps[0].call"),
        (STEP % 'say: "${a b}"', "invalid_input", "s.yaml: agents[0].steps[0].say"),
        (STEP % 'say: "${a"', "invalid_input", "s.yaml: agents[0].steps[0].say"),
        (STEP % 'call: {tool: a, arguments: {x: "${}"}}', "invalid_input", "s.yaml: agents[0].steps[0].call"),
        (STEP % 'say: "${user ~ (}"', "invalid_input", "s.yaml: agents[0].steps[0].say"),
    ],
)
def test_a_mistake_is_refused_with_its_place(text: str, code: str, place: str):
    with pytest.raises(InvalidInput) as caught:
        parse_scenario(text, where="s.yaml")
    assert caught.value.code == code
    assert place in caught.value.message


def test_a_file_that_is_absent_is_not_found(tmp_path: Path):
    with pytest.raises(InvalidInput) as caught:
        load_scenario(tmp_path / "none.yaml")
    assert caught.value.code == "not_found"


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_shipped_scenario_loads(path: Path):
    assert load_scenario(path).scripts
