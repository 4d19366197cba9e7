"""Both MCP doors, under the protocol's own conformance suite, at the two newest revisions."""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from contract.mcp import suite
from contract.mcp.carriers import through_stdio, with_token
from contract.mcp.page import page
from contract.mcp.scope import (
    ABSENT,
    COMPLETIONS,
    FIXTURE,
    LOGGING,
    OVER_HTTP,
    OVER_STDIO,
    PARAM_HEADERS,
    PROMPTS,
    REASONS,
    RESOURCES,
    REVISIONS,
    TASKS,
    Carried,
    left_out,
)
from contract.mcp.suite import Outcome
from e2e.programs import MUSTER, Machine, machine
from unit.surfaces.stdio_door import door

PAGE = Path(__file__).parents[3] / "docs" / "mcp-conformance.md"
BOTH = [(revision, carried) for carried in (OVER_HTTP, OVER_STDIO) for revision in REVISIONS]
WRITE_IT = "MUSTER_WRITE_PAGES"

pytestmark = [
    pytest.mark.skipif(
        not suite.SUITE.exists() or suite.node() is None,
        reason="SKIPPED FOR WANT OF Node 22 or the suite: `make setup` brings both to Linux on x64",
    ),
    pytest.mark.xdist_group("conformance"),  # what one run of the suite said serves every test here
]


@pytest.fixture(scope="module")
def on(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    with machine(tmp_path_factory.mktemp("machine")) as on:
        on.muster("up")
        yield on


@pytest.fixture(scope="module")
def outcomes(on: Machine, tmp_path_factory: pytest.TempPathFactory) -> Mapping[tuple[str, Carried], Outcome]:
    """What the suite said of each door, at each revision."""
    folder = tmp_path_factory.mktemp("outcomes")
    with with_token(on) as http, through_stdio(on) as (stdio, doors):
        found = {
            (revision, carried): suite.run(
                http if carried is OVER_HTTP else stdio, revision, folder / carried.name.strip("/") / revision
            )
            for revision, carried in BOTH
        }
        assert doors.unasked == []  # else the carrier has kept something from the suite
    return found


@pytest.fixture(scope="module")
def offered(on: Machine) -> dict[str, Any]:
    """What the server says of itself."""
    with door(on.home, command=[*MUSTER, "mcp"], cwd=on.folder, **on.env) as client:
        capabilities = client.hello()["result"]["capabilities"]
        return {"capabilities": capabilities, "tools": client.ask("tools/list", 1)["result"]["tools"]}


@pytest.mark.parametrize(("revision", "carried"), BOTH, ids=lambda given: getattr(given, "name", given))
def test_every_check_that_applies_is_passed(outcomes, revision, carried):
    failed = [
        f"{scenario}:{check.id} {check.status} {check.message}"
        for scenario, checks in outcomes[revision, carried].items()
        for check in checks
        if check.status in ("FAILURE", "WARNING")
        and left_out(carried, scenario) is None
        and left_out(carried, scenario, check.id) is None
    ]
    assert failed == []


@pytest.mark.parametrize(("revision", "carried"), BOTH, ids=lambda given: getattr(given, "name", given))
def test_every_message_is_valid_by_the_schema_even_where_a_scenario_does_not_apply(outcomes, revision, carried):
    seen = [check for checks in outcomes[revision, carried].values() for check in checks if "wire-schema" in check.id]
    assert len(seen) > 25
    assert [check.message for check in seen if check.status != "SUCCESS"] == []


def test_what_is_left_out_needs_what_the_server_does_not_offer(offered):
    declared, tools = offered["capabilities"], offered["tools"]
    for reason, capability in (
        (PROMPTS, "prompts"),
        (RESOURCES, "resources"),
        (COMPLETIONS, "completions"),
        (LOGGING, "logging"),
        (TASKS, "tasks"),
    ):
        assert capability in reason
        assert capability not in declared, f"the server declares {capability}: its scenarios apply now"
    assert "x-mcp-header" in PARAM_HEADERS
    assert "x-mcp-header" not in json.dumps(tools)
    assert FIXTURE in ABSENT
    assert not [tool["name"] for tool in tools if tool["name"].startswith(("test_", "json_schema_"))]


def test_nothing_is_left_out_that_the_suite_does_not_hold(outcomes):
    known = {scenario for outcome in outcomes.values() for scenario in outcome}
    known |= {
        f"{scenario}:{check.id}"
        for outcome in outcomes.values()
        for scenario, checks in outcome.items()
        for check in checks
    }
    assert set(REASONS) - known == set()


def test_page_says_what_the_suite_found(outcomes):
    version = json.loads((suite.SUITE.parents[1] / "package.json").read_text())["version"]
    written = page(version, outcomes)
    if os.environ.get(WRITE_IT):
        PAGE.write_text(written)
    assert PAGE.read_text() == written, f"run `make conformance {WRITE_IT}=1` and look at what has changed"
