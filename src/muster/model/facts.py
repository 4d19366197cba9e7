"""What a command may know of the outside: read before it, handed in frozen."""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from muster.model.ask import OnAsk
from muster.model.budget import USUAL, Budgets
from muster.model.ids import AgentId
from muster.model.spent import Spent
from muster.model.worktree import AS_IT_IS, Isolation, Recipe


@dataclass(frozen=True, slots=True, kw_only=True)
class Persona:
    """A reusable agent definition that a host offers in a directory.

    `mode` is the host's word: `primary`, `subagent` or `all`. `source` says where it was found:
    `built-in`, `roster`, or the path of the file. `division` is the shelf of the roster it stands on, or its folder's.
    `tools` names tools of Muster's that the definition allows expressly (`spawn_fleet`). `edits`: it may change files.
    `skills` and `text`, its prompt, are what routing reads beside the description.
    """

    name: str
    description: str
    mode: str
    source: str
    division: str | None = None
    tools: tuple[str, ...] = ()
    edits: bool = True
    skills: tuple[str, ...] = ()
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What holds in a project where a spawner does not say: what may be spent, what is done with its agents' asks, and
    who works in a worktree, which is made how.

    `on_ask` None: what the hub does with all of them. `notes` are for the spawner.
    """

    budgets: Budgets = USUAL
    on_ask: OnAsk | None = None
    isolation: Isolation = Isolation.AUTO
    recipe: Recipe = AS_IT_IS
    land_when_quiet: bool = True
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A directory that agents are asked to work in, as it was found.

    `directory` is absolute and exists; `project` is the git top level above it, else the directory itself. `git`: it
    is one. Worktrees are made below the folder `worktrees`.
    """

    directory: str
    project: str
    git: bool
    worktrees: str
    personas: tuple[Persona, ...]
    terms: Terms = Terms()


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """Somebody whose words fit a request: an agent, or a persona that could be attached.

    `score` is from 0 to 1; `keys` are the words of the request, stemmed.
    """

    agent: AgentId | None
    persona: str | None
    role: str
    score: float
    keys: frozenset[str]
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Contenders:
    """Who fits a request by words alone, best first; `notes` are for whoever asks.

    The first request after a start reads all personas and what the sentence model makes of them. `attach_at_most`: how
    many personas a fleet's calls for help may add to it, at the `place` where it works.
    """

    within_seconds: ClassVar[float] = 20.0
    found: tuple[Contender, ...] = ()
    notes: tuple[str, ...] = ()
    attach_at_most: int = 0
    place: "Place | None" = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where the hub answers, without a slash at the end."""

    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """The hub and its machine, as they are. `opencode` is the path of the program, None where there is none."""

    home: str
    started_at: datetime
    database_bytes: int
    wal_bytes: int
    disk_free_bytes: int
    opencode: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One entry of a session's transcript. `role`: user, assistant or tool; `at`: ISO 8601 UTC or None."""

    role: str
    text: str
    at: str | None
    tool: str | None = None
    status: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Transcript:
    """A conversation as its host has it now. `lines` None: it could not be read, and `why` says why."""

    lines: tuple[Line, ...] | None
    why: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """What an agent's session has cost so far. `spent` None: its host did not say."""

    spent: Spent | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LandedFile:
    """A file of landed work. `names`: of the agents whose merges changed it. `committed`: HEAD has it as it landed."""

    path: str
    names: tuple[str, ...]
    committed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """Landed work that stands. `cut` counts the files that the diff had no room for.

    Nobody waits for it to change something, so it may take as long as git takes.
    """

    within_seconds: ClassVar[float] = 20.0
    files: tuple[LandedFile, ...]
    diff: str
    cut: int
