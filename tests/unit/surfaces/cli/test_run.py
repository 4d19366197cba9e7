"""How `muster` ends: exit codes, the shape of errors, and what goes where."""

import json

import pytest

from muster import __main__, __version__
from muster.errors import FAMILIES, MusterError
from muster.surfaces import cli
from muster.surfaces.cli import run
from muster.surfaces.cli.output import to_json


@pytest.fixture(autouse=True)
def _nobodys_home(tmp_path, monkeypatch):
    monkeypatch.setenv("MUSTER_HOME", str(tmp_path))
    for name in ("MUSTER_TOKEN", "MUSTER_AGENT_TOKEN", "MUSTER_SERVER"):
        monkeypatch.delenv(name, raising=False)


def raising(error: BaseException):
    def main(*_: object, **__: object) -> None:
        raise error

    return main


def as_program(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr("sys.argv", ["muster", *words])
    return __main__.main()


def test_without_a_hub_every_command_exits_5_and_says_how_to_start_one(capsys):
    for words in (["status"], ["fleet", "list"], ["inspect"], ["events"], ["logs", "a"], ["whoami"], ["call", "a.b"]):
        assert run(words) == 5
        said = capsys.readouterr()
        assert (said.out, said.err.splitlines()[1]) == ("", "next: Start one with `muster up`, then repeat the call.")


@pytest.mark.parametrize("family", FAMILIES)
def test_exit_code_is_the_familys_and_the_error_is_told_once(family: type[MusterError], capsys, monkeypatch):
    facts = {"kind": "k", "id": "i", "hint": "h"} if family.__name__ == "NotFound" else {"why": "w"}
    more = {"HostFailed": {"host": "h"}, "GitFailed": {"what": "x"}}
    error = family(**facts, **more.get(family.__name__, {}))
    monkeypatch.setattr(cli.muster, "main", raising(error))

    assert run(["status", "--json"]) == family.exit_code
    said = capsys.readouterr()
    assert (said.out, json.loads(said.err)) == ("", error.to_json())
    assert run(["status"]) == family.exit_code
    assert capsys.readouterr().err == f"muster: {error.message}\nnext: {error.next_step}\n"


@pytest.mark.parametrize(
    "words", [["no-such"], ["fleet", "no-such"], ["status", "--no-such"], ["logs"], ["up", "--port", "70000"]]
)
def test_words_that_the_command_line_does_not_know_exit_2_and_name_the_help(words, capsys):
    assert run(words) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines()[1].startswith("next: See `muster")
    assert run([*words, "--json"]) == 2
    assert json.loads(capsys.readouterr().err)["error"]["code"] == "invalid_input"


def test_bug_exits_70_with_one_line_and_the_rest_in_a_log(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(cli.muster, "main", raising(KeyError("surprise")))
    assert as_program(monkeypatch, "status") == 70
    said = capsys.readouterr()
    assert (said.out, len(said.err.splitlines())) == ("", 1)
    assert str(tmp_path / "logs" / "bugs.log") in said.err
    assert "KeyError: 'surprise'" in (tmp_path / "logs" / "bugs.log").read_text()


def test_interrupted_program_exits_130_without_a_word(capsys, monkeypatch):
    monkeypatch.setattr(cli.muster, "main", raising(KeyboardInterrupt()))
    assert as_program(monkeypatch, "status") == 130
    assert capsys.readouterr() == ("", "")


def test_shell_that_completes_words_is_answered(capsys, monkeypatch):
    monkeypatch.setenv("_MUSTER_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", "muster fl")
    monkeypatch.setenv("COMP_CWORD", "1")
    assert run([]) == 0
    assert capsys.readouterr().out == "plain,fleet\n"


def test_version_is_said(capsys, monkeypatch):
    assert as_program(monkeypatch, "--version") == 0
    assert capsys.readouterr().out == f"muster {__version__}\n"


def test_help_names_every_command_with_what_it_does(capsys):
    assert run(["--help"]) == 0
    said = capsys.readouterr().out
    listed = {line.split()[0]: line.split()[1:] for line in said.partition("Commands:")[2].splitlines() if line}
    assert list(listed) == list(cli.MODULES)
    assert all(listed.values())


def test_down_without_a_hub_is_done_already(capsys):
    assert run(["down"]) == 0
    assert run(["down", "--json"]) == 0
    assert capsys.readouterr().out == 'No hub was running.\n{\n  "ended": false,\n  "pid": null\n}\n'


def test_wrong_names_of_toolkits_are_refused_before_the_door_opens(capsys, monkeypatch):
    assert as_program(monkeypatch, "mcp", "--toolkits", "a b") == 2
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("value", ["plain", "é 日本 👩", "\x1b[2J\x7f\x9b\u202e\ue000\u2028", 'say "\\" \n'])
def test_json_for_a_terminal_is_the_same_json(value):
    text = to_json({value: [value]})
    assert json.loads(text) == {value: [value]}
    assert not any(letter in text for letter in "\x1b\x7f\x9b\u202e\u2028")
    assert ("日本" in text) == ("日本" in value)
