"""Signs of life are for people: on a terminal, after two seconds, and gone when it is over."""

import sys

import pytest

from muster.surfaces.cli import progress as module
from muster.surfaces.cli.progress import progress


class Terminal:
    def __init__(self) -> None:
        self.said = ""

    def write(self, text: str) -> int:
        self.said += text
        return len(text)

    def flush(self) -> None:
        """Nothing is held back."""

    def isatty(self) -> bool:
        return True

    def until(self, text: str) -> None:
        for _ in range(2000):
            if text in self.said:
                return
            module.time.sleep(0.005)
        raise AssertionError(self.said)


def at_a_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """In the test itself: between a fixture and its test pytest takes standard error back."""
    shown = Terminal()
    monkeypatch.setattr(sys, "stderr", shown)
    monkeypatch.setattr(module, "TICK_SECONDS", 0.01)
    return shown


def test_what_takes_long_shows_how_far_it_is_and_is_wiped_away(monkeypatch) -> None:
    terminal = at_a_terminal(monkeypatch)
    monkeypatch.setattr(module, "QUIET_SECONDS", 0.0)
    with progress("agents through") as shown:
        terminal.until("agents through")
        shown.of(1, 4)
        terminal.until("[#####---------------] 1 of 4")
    assert terminal.said.endswith("\r\x1b[K")


def test_what_is_quick_says_nothing(monkeypatch) -> None:
    terminal = at_a_terminal(monkeypatch)
    with progress("agents through"):
        pass
    assert terminal.said == ""


def test_program_is_told_nothing(monkeypatch) -> None:
    terminal = at_a_terminal(monkeypatch)
    monkeypatch.setattr(module, "QUIET_SECONDS", 0.0)
    with progress("agents through", as_json=True):
        pass
    assert terminal.said == ""


def test_nobody_at_a_terminal_is_told_nothing(capsys, monkeypatch) -> None:
    monkeypatch.setattr(module, "QUIET_SECONDS", 0.0)
    with progress("agents through"):
        pass
    assert capsys.readouterr().err == ""
