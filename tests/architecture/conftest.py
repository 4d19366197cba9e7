"""Says how long the functions are. The hard limit is a test; this figure is for people."""

import pytest

from architecture.source import functions, length, modules

COMFORTABLE_LINES = 25


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    lengths = [length(function) for module in modules() for function in functions(module)]
    short = sum(lines <= COMFORTABLE_LINES for lines in lengths)
    if lengths:
        terminalreporter.write_line(
            f"{len(lengths)} functions in {len(modules())} modules: {short / len(lengths):.0%} within "
            f"{COMFORTABLE_LINES} lines (wanted: 90%), the longest has {max(lengths)}"
        )
