"""The rehearsal plays the model of the real OpenCode, so what it assumes of OpenCode is proved here."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
import httpx2
import pytest

from muster.rehearsal import Kind, Outcome, Rehearsal, Request, opencode_config, parse_scenario

ROOT = Path(__file__).parents[2]
LOCAL = ROOT / "node_modules" / ".bin" / "opencode"
OPENCODE = str(LOCAL) if LOCAL.exists() else shutil.which("opencode")
SCOUTS = ROOT / "src" / "muster" / "rehearsal" / "scenarios" / "three-scouts.yaml"
LISTENING = "opencode server listening on "

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(OPENCODE is None, reason="SKIPPED FOR WANT OF opencode: npm install runs this test"),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenCode:
    """A running `opencode serve`."""

    url: str

    @asynccontextmanager
    async def session(self, directory: Path) -> "AsyncIterator[Session]":
        headers = {"x-opencode-directory": str(directory)}
        async with httpx2.AsyncClient(base_url=self.url, headers=headers, timeout=60) as http:
            created = await http.post("/session", json={})
            yield Session(http=http, id=created.json()["id"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One OpenCode session."""

    http: httpx2.AsyncClient
    id: str

    async def prompt(self, text: str) -> dict:
        """Run a turn to its end and return its last assistant message."""
        answer = await self.http.post(f"/session/{self.id}/message", json=_body(text))
        return answer.raise_for_status().json()

    async def begin(self, text: str) -> None:
        (await self.http.post(f"/session/{self.id}/prompt_async", json=_body(text))).raise_for_status()

    async def abort(self) -> None:
        (await self.http.post(f"/session/{self.id}/abort")).raise_for_status()

    async def compact(self) -> None:
        model = {"providerID": "rehearsal", "modelID": "model"}
        (await self.http.post(f"/session/{self.id}/summarize", json=model)).raise_for_status()

    async def messages(self) -> list[dict]:
        return (await self.http.get(f"/session/{self.id}/message")).json()


def _body(text: str) -> dict:
    return {"agent": "build", "parts": [{"type": "text", "text": text}]}


def _text(message: dict) -> str:
    return "".join(part["text"] for part in message["parts"] if part["type"] == "text")


def _chats(rehearsal: Rehearsal) -> list[Request]:
    return [request for request in rehearsal.requests if request.kind is Kind.CHAT]


@contextmanager
def _running(command: list[str], env: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """A process in a group of its own, which ends with the block."""
    process = subprocess.Popen(
        command, env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True
    )
    try:
        yield process
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()


@contextmanager
def _serving(home: Path, directory: Path, **env: str) -> Iterator[OpenCode]:
    folders = {f"XDG_{name}_HOME": str(home / name.lower()) for name in ("DATA", "CONFIG", "STATE", "CACHE")}
    own = {"PATH": os.environ["PATH"], "HOME": str(home), "PWD": str(directory), "TMPDIR": str(home)}
    fixed = {"OPENCODE_DISABLE_MODELS_FETCH": "1"}
    with _running([OPENCODE, "serve", "--port", "0"], own | folders | fixed | env) as process:
        for line in process.stdout:
            if line.startswith(LISTENING):
                break
        yield OpenCode(url=line.removeprefix(LISTENING).strip())


def _repository(path: Path) -> Path:
    git = ["git", "-C", str(path), "-c", "user.name=Ada", "-c", "user.email=ada@example.org"]
    path.mkdir()
    (path / "README.md").write_text("# Sample\nA sample.\n")
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "Begin"]):
        subprocess.run([*git, *words], check=True)
    return path


@pytest.fixture(scope="module")
def opencode(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenCode]:
    home = tmp_path_factory.mktemp("home")
    with _serving(home, home) as running:
        yield running


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return _repository(tmp_path / "sample")


@asynccontextmanager
async def playing(scenario: str, project: Path) -> AsyncIterator[Rehearsal]:
    """A rehearsal that is the model for one directory of the shared server."""
    async with Rehearsal.serve(parse_scenario(scenario)) as rehearsal:
        (project / "opencode.json").write_text(json.dumps(opencode_config(rehearsal.url)))
        yield rehearsal


async def test_plain_answer_is_reported_with_its_tokens_and_a_cost(opencode, project):
    scenario = """
    agents:
      - steps:
          - {say: "You said ${user}", usage: {input: 1000, output: 200, reasoning: 30, cached: 400}}
    """
    async with playing(scenario, project) as rehearsal, opencode.session(project) as session:
        answer = await session.prompt("hello")
    tokens = answer["info"]["tokens"]
    assert _text(answer) == "You said hello"
    assert (tokens["input"], tokens["output"], tokens["reasoning"], tokens["cache"]["read"]) == (1000, 200, 30, 400)
    assert answer["info"]["cost"] > 0
    assert rehearsal.failures == ()


async def test_title_request_is_answered_and_takes_no_step(opencode, project):
    scenario = """
    title: A rehearsed title
    agents:
      - steps: [{say: first}, {say: second}]
    """
    async with playing(scenario, project) as rehearsal, opencode.session(project) as session:
        answers = [_text(await session.prompt(text)) for text in ("one", "two", "three")]
        titles = await rehearsal.until(lambda request: request.kind is Kind.TITLE)
    assert answers == ["first", "second", "done"]
    assert [(request.script, request.step, request.session) for request in titles] == [(None, None, session.id)]
    assert [request.step for request in _chats(rehearsal)] == [0, 1, 2]


async def test_value_of_an_earlier_tool_result_is_used_in_the_next_step(opencode, project):
    scenario = """
    agents:
      - steps:
          - call: {tool: bash, arguments: {command: "echo '{\\"fleet_id\\": 7, \\"name\\": \\"a\\"}'"}}
          - calls:
              - {tool: bash, arguments: {command: "echo got ${bash.fleet_id}"}}
              - {tool: glob, arguments: {pattern: "*.md"}}
          - say: "${bash} and ${glob ~ \\\\w+\\\\.md}"
    """
    async with playing(scenario, project) as rehearsal, opencode.session(project) as session:
        answer = await session.prompt("go")
    assert rehearsal.failures == ()
    assert _text(answer).split() == ["got", "7", "and", "README.md"]


async def test_tool_that_is_not_offered_fails_loudly(opencode, project):
    scenario = """
    agents:
      - steps: [{call: {tool: spawn_fleet}}]
    """
    async with playing(scenario, project) as rehearsal, opencode.session(project) as session:
        answer = await session.prompt("go")
    assert "spawn_fleet is not offered" in answer["info"]["error"]["data"]["message"]
    assert [(failure.session, failure.step) for failure in rehearsal.failures] == [(session.id, 0)]


async def test_refused_request_is_repeated_by_the_host_and_then_answered(opencode, project):
    scenario = """
    agents:
      - steps: [{say: at last, status: 429, retry_after: 0.2, times: 2}]
    """
    async with playing(scenario, project) as rehearsal, opencode.session(project) as session:
        answer = await session.prompt("go")
    assert _text(answer) == "at last"
    assert [(request.step, request.outcome) for request in _chats(rehearsal)] == [
        (0, Outcome.REFUSED),
        (0, Outcome.REFUSED),
        (0, Outcome.ANSWERED),
    ]


async def test_cut_stream_is_asked_for_again_and_its_text_stands_once(opencode, project):
    scenario = """
    agents:
      - steps: [{say: one two three, cut: 7, chunk_delay_seconds: 0.1, times: 1}]
    """
    async with playing(scenario, project) as rehearsal, opencode.session(project) as session:
        await session.prompt("go")
        messages = await session.messages()
    assert [_text(message) for message in messages] == ["go", "one two three"]
    assert [request.outcome for request in _chats(rehearsal)] == [Outcome.CUT, Outcome.ANSWERED]


async def test_truncated_stream_leaves_its_beginning_and_the_next_step_follows(opencode, project):
    scenario = """
    agents:
      - steps: [{say: one two three, truncate: 7}, {say: four}]
    """
    async with playing(scenario, project) as rehearsal, opencode.session(project) as session:
        await session.prompt("go")
        messages = await session.messages()
    assert [_text(message) for message in messages] == ["go", "one two", "four"]
    assert [request.step for request in _chats(rehearsal)] == [0, 1]


async def test_silence_lasts_until_the_abort_and_the_step_is_played_again(opencode, project):
    scenario = """
    agents:
      - steps: [{say: here, silence: true, times: 1}, {say: there}]
    """
    async with playing(scenario, project) as rehearsal, opencode.session(project) as session:
        await session.begin("go")
        await rehearsal.until(lambda request: request.outcome is Outcome.SILENT)
        await session.abort()
        await rehearsal.until(lambda request: request.outcome is Outcome.LEFT)
        answer = await session.prompt("again")
    assert _text(answer) == "here"
    assert [request.step for request in _chats(rehearsal)] == [0, 0]


async def test_summary_for_a_compaction_takes_no_step(opencode, project):
    scenario = """
    agents:
      - steps: [{say: first}, {say: second}]
    """
    async with playing(scenario, project) as rehearsal, opencode.session(project) as session:
        await session.prompt("go")
        await session.compact()
        answer = await session.prompt("more")
    assert [request.kind for request in rehearsal.requests if request.kind is not Kind.TITLE] == [
        Kind.CHAT,
        Kind.SUMMARY,
        Kind.CHAT,
    ]
    assert _text(answer) == "second"


async def test_child_session_is_known_by_its_parent(opencode, project):
    scenario = """
    agents:
      - name: child
        match: {text: You are a child}
        steps: [{say: from the child}]
      - name: parent
        steps:
          - call: {tool: task, arguments: {description: d, prompt: You are a child, subagent_type: general}}
          - say: "${task ~ from the child}"
    """
    async with playing(scenario, project) as rehearsal, opencode.session(project) as session:
        answer = await session.prompt("go")
    assert _text(answer) == "from the child"
    assert [(request.script, request.parent_session) for request in _chats(rehearsal)] == [
        ("parent", None),
        ("child", session.id),
        ("parent", None),
    ]


async def test_three_scouts_report_on_a_repository_from_another_process(tmp_path, project):
    command = [sys.executable, "-m", "muster.rehearsal", str(SCOUTS)]
    with _running(command, dict(os.environ)) as rehearsal:
        url = rehearsal.stdout.readline().strip()
        config = json.dumps(opencode_config(url))
        with _serving(tmp_path / "home", project, OPENCODE_CONFIG_CONTENT=config) as opencode:
            reports = await _scout(opencode, project)
        async with httpx2.AsyncClient(base_url=url) as http:
            failures = (await http.get("/rehearsal/failures")).json()
    assert failures == []
    assert "1 ." in reports["architecture"]
    assert "0 of 1 tracked files" in reports["tests"]
    assert "README.md" in reports["docs"]


async def _scout(opencode: OpenCode, project: Path) -> dict[str, str]:
    reports = {}

    async def report(name: str) -> None:
        async with opencode.session(project) as session:
            reports[name] = _text(await session.prompt(f"[muster] You are {name} (agt_1).\nLook around."))

    async with anyio.create_task_group() as tasks:
        for name in ("architecture", "tests", "docs"):
            tasks.start_soon(report, name)
    return reports
