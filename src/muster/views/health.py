"""The hub as it sees itself, part by part: what is as it should be, what is not, and what to do about it.

The words are those of `muster doctor`, which looks from outside and needs no hub. This one sees what only rows know.
"""

from dataclasses import dataclass
from enum import StrEnum

from muster import __version__
from muster.model.agent import Agent, Wanted
from muster.model.ask import Ask, AskState
from muster.model.facts import Condition
from muster.model.fleet import Fleet
from muster.model.run import LIVE, Run, RunState
from muster.model.server import Server, ServerState, StopReason
from muster.model.worktree import Worktree, WorktreeState
from muster.store.records import Reading
from muster.store.statements import SET

GIB = 2**30
DISK_WARNING, DISK_BROKEN = GIB, 64 * 2**20
DID_NOT_START = (StopReason.FAILED, StopReason.UNFIT)
WAL_WARNING = 256 * 2**20  # it is folded into the database every few megabytes, unless a reader never ends


class Health(StrEnum):
    OK = "ok"
    WARNING = "warning"
    BROKEN = "broken"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """`next`: what to do, where something is."""

    part: str
    state: Health
    says: str
    next: str | None = None


def parts_of(tx: Reading, condition: Condition) -> list[Part]:
    """Every part, in the order in which they rest on each other."""
    return [
        _hub(tx, condition),
        _disk(condition),
        _database(condition),
        _journal(tx),
        _opencode(tx, condition),
        _servers(tx),
        _queue(tx),
        _fleets(tx),
        _worktrees(tx),
        _person(tx),
    ]


def _hub(tx: Reading, condition: Condition) -> Part:
    minutes = (tx.now - condition.started_at).total_seconds() / 60
    return _ok("hub", f"version {__version__}, up for {minutes:.0f} min, home {condition.home}")


def _disk(condition: Condition) -> Part:
    free = condition.disk_free_bytes
    says = f"{_size(free)} free for {condition.home}"
    if free < DISK_BROKEN:
        return _broken("disk", says, "Free space: nothing more can be accepted when the disk is full.")
    return _warning("disk", says, "Free space before it runs out.") if free < DISK_WARNING else _ok("disk", says)


def _database(condition: Condition) -> Part:
    says = f"{_size(condition.database_bytes)}, and {_size(condition.wal_bytes)} not yet folded in"
    if condition.wal_bytes > WAL_WARNING:
        return _warning("database", says, "End what reads it from outside; else `muster down` and `muster up`.")
    return _ok("database", says)


def _journal(tx: Reading) -> Part:
    newest = tx.last_events(limit=1)
    last = f", the last {newest[0].at:%Y-%m-%dT%H:%M:%SZ}" if newest else ""
    return _ok("journal", f"{tx.journal_head()} events{last}")


def _opencode(tx: Reading, condition: Condition) -> Part:
    if condition.opencode is None:
        step = "Install it (`npm install -g opencode-ai`), or set `opencode` in config.toml to its path."
        return _broken("opencode", "OpenCode was not found", step)
    seen = [server.version for server in tx.select(Server, newest_first=True) if server.version]
    version = f"OpenCode {seen[0]}" if seen else "OpenCode, whose version is read when it is first started"
    return _ok("opencode", f"{version} ({condition.opencode})")


def _servers(tx: Reading) -> Part:
    servers = tx.select(Server)
    awake = [server for server in servers if server.state is not ServerState.STOPPED]
    says = f"{len(awake)} awake, {len(servers) - len(awake)} at rest"
    failed = [
        one for one in servers if one.state is ServerState.STOPPED and one.why in (StopReason.FAILED, StopReason.UNFIT)
    ]
    if failed:
        detail = failed[-1].detail or failed[-1].why
        return _warning("host servers", f"{says}; {failed[-1].id} did not start: {detail}", "`muster doctor --deep`.")
    return _ok("host servers", says)


def _queue(tx: Reading) -> Part:
    waiting = tx.select(Run, state=RunState.QUEUED)
    later = sum(run.due_at > tx.now for run in waiting)
    at_work = tx.count(Run, state=LIVE)
    return _ok(
        "queue", f"{at_work} agents at work, {len(waiting) - later} wait for a place, {later} for their next try"
    )


def _fleets(tx: Reading) -> Part:
    running = {run.fleet for run in tx.select(Run, state=(RunState.QUEUED, *LIVE))}
    paused = {agent.fleet for agent in _paused(tx)} - running
    quiet = tx.count(Fleet) - len(running | paused)
    return _ok("fleets", f"{len(running)} running, {len(paused)} paused, {quiet} quiet")


def _worktrees(tx: Reading) -> Part:
    """What could not be kept is neither removed nor merged."""
    there = tx.count(Worktree, state=WorktreeState.READY)
    unkept = tx.select(Worktree, snapshot_error=SET)
    says = f"{there} there"
    if unkept:
        step = "Free space, or mend the repository; it is tried again by itself."
        return _warning("worktrees", f"{says}; {unkept[0].folder} has no snapshot: {unkept[0].snapshot_error}", step)
    return _ok("worktrees", says)


def _person(tx: Reading) -> Part:
    """What goes on only when somebody says so."""
    asks = tx.count(Ask, state=AskState.WAITING)
    paused = _paused(tx)
    says = f"{asks} permissions or questions, {len(paused)} paused agents"
    steps = ["`muster answer`"] * bool(asks) + ["`muster resume`"] * bool(paused)
    return _warning("waits for you", says, f"{' and '.join(steps)}.") if steps else _ok("waits for you", "nothing")


def _paused(tx: Reading) -> list[Agent]:
    return tx.select(Agent, paused=SET, wanted=Wanted.RUNNING)


def _ok(part: str, says: str) -> Part:
    return Part(part=part, state=Health.OK, says=says)


def _warning(part: str, says: str, next: str) -> Part:
    return Part(part=part, state=Health.WARNING, says=says, next=next)


def _broken(part: str, says: str, next: str) -> Part:
    return Part(part=part, state=Health.BROKEN, says=says, next=next)


def _size(size: float) -> str:
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.0f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"
