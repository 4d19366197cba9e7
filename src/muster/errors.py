"""Every deliberate error of Muster, drawn as a tree of who must act.

    MusterError
    ├── InvalidInput      the caller: the words are wrong            400, exit 2
    │   ├── NotFound      the caller: the id names nothing           404, exit 2
    │   └── WrongMethod   the caller: HTTP's other verb              405
    ├── Unauthenticated   the caller: no or a void token             401, exit 3
    ├── Denied            the caller: known, and not allowed         403, exit 3
    ├── Conflict          the caller: not in this state              409, exit 4
    ├── Unavailable       wait, or mend this machine                 503, exit 5
    ├── HostFailed        the program that runs agents               502, exit 6
    ├── GitFailed         git                                        500, exit 7
    └── Broken            us: a bug in Muster                        500, exit 70

An error carries a stable `code`, a sentence (`says`) and the next step (`next`), both filled with its
facts, because agents read errors and obey them.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar  # Any: facts are JSON values, which have no finite type

Facts = Mapping[str, Any]


class MusterError(Exception):
    """Anything that Muster refuses or could not do, on purpose."""

    code: ClassVar[str]
    says: ClassVar[str]
    next: ClassVar[str]
    status: ClassVar[int]
    exit_code: ClassVar[int]

    def __init__(self, **facts: Any) -> None:
        self.facts: Facts = facts
        super().__init__(self.message)

    @property
    def message(self) -> str:
        return self.says.format_map(self.facts)

    @property
    def next_step(self) -> str:
        return self.next.format_map(self.facts)

    def to_json(self) -> dict[str, Any]:
        """`{"error": {"code", "message", "next", "facts"}}`, the shape on every surface."""
        return {
            "error": {
                "code": self.code,
                "message": self.message,
                "next": self.next_step,
                "facts": dict(self.facts),
            }
        }


# ── the caller: the words are wrong ──────────────────────────────────────────────────────────────


class InvalidInput(MusterError):
    """The request itself is wrong; repeating it unchanged cannot help."""

    code = "invalid_input"
    says = "{why}"
    next = "Correct the request and send it again."
    status = 400
    exit_code = 2


class UnknownField(InvalidInput):
    code = "unknown_field"
    says = "{verb} has no field {field}."
    next = "Leave it out. Fields here: {fields}."


class MissingField(InvalidInput):
    code = "missing_field"
    says = "{verb} needs the field {field}."
    next = "Add {field}."


class WrongType(InvalidInput):
    code = "wrong_type"
    says = "{field}: expected {expected}, got {got}."
    next = "Send {field} as {expected}; nothing is converted."


class BadValue(InvalidInput):
    code = "bad_value"
    says = "{field}: expected {expected}, got {got}."
    next = "Send {field} as {expected}."


class MalformedJson(InvalidInput):
    code = "malformed_json"
    says = "The request is not a JSON object: {why}."
    next = "Send one JSON object, encoded as UTF-8."


class NulCharacter(InvalidInput):
    code = "nul_character"
    says = "{field} contains a NUL character."
    next = "Remove U+0000 from {field}."


class TooLarge(InvalidInput):
    code = "too_large"
    says = "The request is larger than {limit} bytes."
    next = "Split it into smaller requests."


class UnknownPersona(InvalidInput):
    code = "unknown_persona"
    says = "There is no persona {persona} in {project}."
    next = "Use one of these: {nearest}. list_agents (verb persona.list) names all."


class UnknownSetting(InvalidInput):
    """A setting that does not exist, or whose value has the wrong type."""

    code = "bad_setting"
    says = "{where}: {key}: {why}."
    next = "Correct {key} in {where} and start again."


class ConfigurationBroken(InvalidInput):
    """A configuration file of OpenCode's that cannot be edited as it stands."""

    code = "configuration_broken"
    says = "{file}, line {line}: {why}."
    next = "Mend that line and run the command again; nothing was changed."


class NotFound(InvalidInput):
    code = "not_found"
    says = "There is no {kind} {id}."
    next = "{hint}"
    status = 404

    def __init__(self, *, kind: str, id: str, hint: str = "List what there is and use an id from the list.") -> None:
        super().__init__(kind=kind, id=id, hint=hint)


class WrongMethod(InvalidInput):
    code = "wrong_method"
    says = "{path} takes {takes}, not {method}."
    next = "Use {takes}. Verbs are called by POST /api/v1/<noun.verb>."
    status = 405


# ── the caller: who are you ──────────────────────────────────────────────────────────────────────


class Unauthenticated(MusterError):
    code = "unauthenticated"
    says = "No valid token came with the request: {why}."
    next = "Send the token of hub.json as `Authorization: Bearer …`; it is renewed when the state folder is."
    status = 401
    exit_code = 3


class Denied(MusterError):
    code = "denied"
    says = "{why}"
    next = "{hint}"
    status = 403
    exit_code = 3

    def __init__(self, *, why: str, hint: str = "Act within your own fleet, or ask the operator.") -> None:
        super().__init__(why=why, hint=hint)


# ── the caller: not in this state ────────────────────────────────────────────────────────────────


class Conflict(MusterError):
    """The request is sound, but not in the state that things are in."""

    code = "conflict"
    says = "{why}"
    next = "Look at the present state and decide again."
    status = 409
    exit_code = 4


class FleetCancelled(Conflict):
    code = "fleet_cancelled"
    says = "Fleet {id} was cancelled; that is final."
    next = "Spawn a new fleet."


class RequestReused(Conflict):
    code = "request_reused"
    says = "request_id {request_id} was used before, for {verb} with other arguments."
    next = "Use a new request_id for a new request; repeat an old one only unchanged."


class Stale(Conflict):
    """A report about a row that has moved on; whoever reports takes back what it made."""

    code = "stale"
    says = "{kind} {id} has moved on: it is {state}."
    next = "Read the row again."


class NotDone(Conflict):
    code = "not_done"
    says = "{why}"
    next = "{then}"


class HubRunning(Conflict):
    code = "hub_running"
    says = "A hub already runs on {home} (pid {pid}, {url})."
    next = "Use that one, end it with `muster down`, or set MUSTER_HOME to another folder.{unwatched}"


class PortTaken(Conflict):
    code = "port_taken"
    says = "Port {port} on {address} is taken by another program."
    next = "Start with --port 0 for any free port, or set `port` in config.toml."


class RepositoryHeld(Conflict):
    """Two hubs in one repository would each take the other's worktrees for left over."""

    code = "repository_held"
    says = "Another hub ({home}, pid {pid}) owns the worktrees of {repository}."
    next = "Use that hub, or end it with `MUSTER_HOME={home} muster down` and try again."


# ── wait, or mend this machine ───────────────────────────────────────────────────────────────────


class Unavailable(MusterError):
    code = "unavailable"
    says = "{why}"
    next = "Try again in a moment; a repeated request_id is safe."
    status = 503
    exit_code = 5


class NoHub(Unavailable):
    code = "no_hub"
    says = "No hub answers for {home}."
    next = "Start one with `muster up`, then repeat the call."


class HubWillNotStart(Unavailable):
    code = "hub_will_not_start"
    says = "The hub did not start: {why}"
    next = "Read {log}, or run `muster serve` to see it happen."


class HubGaveUp(Unavailable):
    """It died so often that its watcher let it be."""

    code = "hub_gave_up"
    says = "The hub was started again {restarts} times and died each time (last: {ended})."
    next = "Read {log}, then `muster up`."


class DatabaseFromTheFuture(Unavailable):
    code = "database_from_the_future"
    says = "{path} was written by a newer Muster (schema {found}; this one knows up to {known})."
    next = "Upgrade Muster, or set MUSTER_HOME to another folder. The file was not touched."


class DatabaseDamaged(Unavailable):
    code = "database_damaged"
    says = "{path} is damaged: {why}."
    next = "Put a backup in its place, or move it away to begin anew. The file was not touched."


class DatabaseForeign(Unavailable):
    code = "database_foreign"
    says = "{path} is not a database of Muster's."
    next = "Move it away, or set MUSTER_HOME to another folder. The file was not touched."


class KeyDamaged(Unavailable):
    code = "key_damaged"
    says = "{path} does not hold a key of {expected} bytes."
    next = "Move it away to have a new one made; every token made with it is void then."


class StateNotWritable(Unavailable):
    code = "state_not_writable"
    says = "{path} cannot be written: {why}."
    next = "Free space or grant write access, then start again."


# ── the outside ──────────────────────────────────────────────────────────────────────────────────


class HostFailed(MusterError):
    """The program that runs agents did not do what was asked."""

    code = "host_failed"
    says = "{host}: {why}"
    next = "Look at the host's log under the state folder's logs/."
    status = 502
    exit_code = 6


class HostMissing(HostFailed):
    code = "host_missing"
    says = "{host} was not found ({looked})."
    next = "Install it (`npm install -g opencode-ai`), or set `opencode` in config.toml to its path."


class HostRefused(HostFailed):
    """The host will not do this, now or later: asking again cannot help."""

    code = "host_refused"


class HostVersionUnknown(HostFailed):
    code = "host_version_unknown"
    says = "{host} {version} speaks another protocol than this Muster ({spoken})."
    next = "Install a version in that range; other versions need the ACP host, which does not depend on it."


class HostAway(HostFailed):
    """A host server does not answer: it may be starting, stuck or gone."""

    code = "host_away"
    says = "{host} server {server} does not answer: {why}"
    next = "It is replaced by itself; look again in a moment."


class SessionLost(HostFailed):
    code = "session_lost"
    says = "{host} has no session {session}."
    next = "Start the work again in a new session."


class GitFailed(MusterError):
    code = "git_failed"
    says = "git {what}: {why}"
    next = "Mend the repository as git says."
    status = 500
    exit_code = 7


# ── us ───────────────────────────────────────────────────────────────────────────────────────────


class Broken(MusterError):
    """A bug in Muster: something that the code promised itself does not hold."""

    code = "bug"
    says = "Muster failed: {why}"
    next = "Please report it, with the hub's log."
    status = 500
    exit_code = 70


FAMILIES: tuple[type[MusterError], ...] = (
    InvalidInput,
    NotFound,
    Unauthenticated,
    Denied,
    Conflict,
    Unavailable,
    HostFailed,
    GitFailed,
    Broken,
)


@contextmanager
def ungrouped() -> Iterator[None]:
    """A refusal leaves this block by itself, however many task groups wrapped it: of several, the first.

    A group that also holds something else, which may be a bug, stays whole.
    """
    try:
        yield
    except BaseExceptionGroup as group:  # not `except*`: what is raised in one comes out in a group again
        refused, rest = group.split(MusterError)
        if refused is None or rest is not None:
            raise
        first: BaseException = refused
        while isinstance(first, BaseExceptionGroup):
            first = first.exceptions[0]
        raise first from None


def tree(root: type[MusterError] = MusterError) -> Iterator[type[MusterError]]:
    """Every error class below `root`, parents before children."""
    for child in root.__subclasses__():
        yield child
        yield from tree(child)
