"""What a scenario is: who plays which steps, and how badly.

    title: Rehearsal              # what title requests are answered with
    agents:
      - name: docs                # how records call this script
        match: {text: "You are docs"}
        steps:
          - say: Looking.
            call: {tool: read, arguments: {filePath: README.md}}
          - say: "It says: ${read}"
        then: {say: done}         # every request after the last step

A step is chosen by what stands in the conversation: as many steps are behind it as it has assistant
messages. So a host that was killed and resends its request gets the same step again. Only the
counting of `times` lives in the server's memory.
"""

from dataclasses import dataclass, field
from typing import TypeAlias

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """Whom a script is for; every condition given must hold, and none at all makes it the default.

    `text` (a part of it) and `regex` (searched) are about one user message, `system` (a part) about the
    system prompt.
    """

    text: str | None = None
    regex: str | None = None
    system: str | None = None

    @property
    def anyone(self) -> bool:
        return self.text is None and self.regex is None and self.system is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One tool call; `tool` is the offered name or its end after an underscore."""

    tool: str
    arguments: dict[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens as OpenCode reports them (input without cached, output without reasoning).

    `None` is computed from the length of the texts.
    """

    input: int | None = None
    output: int | None = None
    reasoning: int = 0
    cached: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Answer with an HTTP error instead."""

    status: int
    retry_after: float | None = None
    body: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """Send that many characters of the text, then drop the connection.

    `clean` ends the stream in good order instead, but without a finish reason.
    """

    after: int
    clean: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """Send the headers and the first characters, then nothing: for some seconds, or until the client goes away."""

    seconds: float | None = None
    after: int = 0


Mishap: TypeAlias = Refusal | Cut | Silence


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What answers one model request.

    `times` limits the mishap to the first tries of this step in a conversation; `None` is every try.
    """

    say: str = ""
    calls: tuple[Call, ...] = ()
    hold: str | None = None
    delay_seconds: float = 0
    chunk_delay_seconds: float = 0
    usage: Usage = Usage()
    mishap: Mishap | None = None
    times: int | None = None

    def mishap_at(self, tries: int) -> Mishap | None:
        """The mishap of the try with that number, counted from 1."""
        return self.mishap if self.times is None or tries <= self.times else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """The steps of one kind of conversation, in order, and what is said after them."""

    name: str
    match: Match = Match()
    steps: tuple[Step, ...] = ()
    then: Step = Step(say="done")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """`fleet` and `project` are for `muster rehearse`: what it spawns, and files for it.

    A fleet is told as `fleet.spawn` takes it; or as `template.spawn` does, with the template's name under `template`.
    """

    scripts: tuple[Script, ...]
    title: str = "Rehearsal"
    fleet: dict[str, Json] = field(default_factory=dict)
    project: dict[str, str] = field(default_factory=dict)

    def wish(self) -> dict[str, Json]:
        """The fleet to spawn; where none is told, one agent for each script."""
        if "template" in self.fleet:
            return {"fleet_name": self.title, **self.fleet}
        agents: list[Json] = [
            {"role": script.name, "prompt": script.match.text or "Play your part."} for script in self.scripts
        ]
        return {"name": self.title, "agents": agents, **self.fleet}
