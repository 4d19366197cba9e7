"""A view that fails in every way there is."""

from dataclasses import dataclass

from muster import errors
from muster.model.actor import Actor
from muster.store.records import Reading
from muster.verbs import Operator, view

FAILURES: dict[str, tuple[Exception, int, str]] = {
    "input": (errors.InvalidInput(why="no"), 400, "invalid_input"),
    "not found": (errors.NotFound(kind="fleet", id="flt_1"), 404, "not_found"),
    "unauthenticated": (errors.Unauthenticated(why="no"), 401, "unauthenticated"),
    "denied": (errors.Denied(why="no"), 403, "denied"),
    "conflict": (errors.Conflict(why="no"), 409, "conflict"),
    "unavailable": (errors.Unavailable(why="no"), 503, "unavailable"),
    "host": (errors.HostFailed(host="scripted", why="no"), 502, "host_failed"),
    "git": (errors.GitFailed(what="merge", why="no"), 500, "git_failed"),
    "broken": (errors.Broken(why="no"), 500, "bug"),
    "a bug": (ZeroDivisionError("by zero"), 500, "bug"),
    "a failed assertion": (AssertionError(), 500, "bug"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Nothing:
    pass


@view(by=Operator)
def fail(tx: Reading, actor: Actor, how: str) -> Nothing:
    """Fail as it is asked to."""
    raise FAILURES[how][0]
