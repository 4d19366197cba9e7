"""The HTTP door keeps the word of its own description, whatever it is sent: no bug, and no answer of another shape.

The hub is the real one with the scripted host; schemathesis makes up the requests, right ones and wrong ones.
"""

from collections.abc import Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
import schemathesis
from anyio.from_thread import BlockingPortal, start_blocking_portal
from hypothesis import HealthCheck, Phase, Verbosity, given, settings
from hypothesis import strategies as st
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from muster.hosts.scripted import ScriptedHost
from muster.surfaces.openapi import document
from muster.verbs import Catalog
from unit.stage import VERB_MODULES, Clock, at_work, hub
from unit.surfaces.doors import web

EXAMPLES = 25
DESCRIPTION = document(Catalog(VERB_MODULES))
VERBS = sorted(path for path, methods in DESCRIPTION["paths"].items() if "post" in methods)


def no_bug(context: Any, response: Any, case: schemathesis.Case) -> None:
    """A machine that is too busy (503) is none."""
    assert response.status_code != 500, response.text


CHECKS = [no_bug, status_code_conformance, content_type_conformance, response_schema_conformance]


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    url: str
    headers: dict[str, str]
    project: str
    fleet: str
    agent: str


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with start_blocking_portal() as portal, _at_work(portal, tmp_path_factory.mktemp("hub")) as (stage, url):
        spawned = portal.call(stage.spawn, "say this")
        yield Served(
            url=url,
            headers={"Authorization": f"Bearer {stage.keyring.operator()}"},
            project=str(stage.project),
            fleet=spawned["fleet_id"],
            agent=spawned["agent_ids"][0],
        )


def _at_work(portal: BlockingPortal, folder: Path) -> Any:
    @asynccontextmanager
    async def served() -> Any:
        async with ScriptedHost({}) as host, hub(folder, host, Clock()) as stage, at_work(stage), web(stage) as url:
            yield stage, url

    return portal.wrap_async_context_manager(served())


def bounded(body: Any, served: Served, *, is_real: bool) -> Any:
    """What was made up, without waits; and where it is to be about something that is there, about that."""
    if not isinstance(body, dict):
        return body
    real = {"fleet_id": served.fleet, "agent_id": served.agent, "project": served.project} if is_real else {}
    changed = {name: value for name, value in real.items() if name in body}
    for wait in ("timeout_seconds", "wait_seconds"):
        if isinstance(body.get(wait), int | float) and not isinstance(body[wait], bool):
            changed[wait] = min(body[wait], 0.01)
    if isinstance(body.get("agents"), list):
        changed["agents"] = body["agents"][:3]
    return body | changed


@pytest.mark.parametrize("mode", list(schemathesis.GenerationMode), ids=lambda mode: mode.value)
@pytest.mark.parametrize("path", VERBS)
def test_every_answer_is_one_that_was_described(served: Served, path: str, mode: schemathesis.GenerationMode) -> None:
    described = schemathesis.openapi.from_dict(DESCRIPTION)[path]["post"]

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        verbosity=Verbosity.quiet,
        phases=[Phase.explicit, Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=described.as_strategy(generation_mode=mode), is_real=st.booleans())
    def once(case: schemathesis.Case, is_real: bool) -> None:
        case.body = bounded(case.body, served, is_real=is_real)
        answer = case.call(base_url=served.url, headers=served.headers)
        case.validate_response(answer, checks=CHECKS)

    once()


def test_hub_describes_itself_to_who_has_a_token(served: Served) -> None:
    asked = httpx2.get(f"{served.url}/openapi.json", headers=served.headers, trust_env=False)
    assert (asked.status_code, asked.json()) == (200, DESCRIPTION)
    assert httpx2.get(f"{served.url}/openapi.json", trust_env=False).status_code == 401
