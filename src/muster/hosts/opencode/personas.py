"""Personas: the agent definitions that OpenCode would offer in a directory, read from its files.

The order, the merging and the fall-backs are those of OpenCode 1.18 (`GET /agent` answers the same names); what comes
later wins. A definition that OpenCode would refuse makes it refuse the whole directory; here only that one is left
out, and the refusal is heard when a session is opened. Read are the global configuration, OPENCODE_CONFIG,
`opencode.json(c)` from the directory up to the git top level, each `.opencode` folder and OPENCODE_CONFIG_DIR,
OPENCODE_CONFIG_CONTENT, and the machine's managed one. Below all of them stands the roster that is handed in, which the
bridge adds in each host server: who defines a name of its, has that name whole.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any  # Any: configuration is JSON, which has no finite type

from muster.errors import HostFailed
from muster.hosts.opencode.environment import CONTENT, merge, parse_config
from muster.hosts.opencode.frontmatter import FrontMatterError, body, front_matter
from muster.hosts.opencode.sources import Source, managed_sources, sources
from muster.model.facts import Persona

Definition = dict[str, Any]
Stamp = tuple[tuple[Path, int, int], ...]

MODES = ("primary", "subagent", "all")
BUILT_IN = "built-in"
BUILT_INS: Mapping[str, Definition] = {
    "build": {
        "description": "The default agent. Executes tools based on configured permissions.",
        "mode": "primary",
    },
    "plan": {
        "description": "Plan mode. Disallows all edit tools.",
        "mode": "primary",
        "permission": {"edit": "deny"},
    },
    "general": {
        "description": (
            "General-purpose agent for researching complex questions and executing multi-step tasks. "
            "Use this agent to execute multiple units of work in parallel."
        ),
        "mode": "subagent",
    },
    "explore": {
        "description": (
            "Fast agent specialized for exploring codebases: finds files by patterns, searches code for keywords, "
            "answers questions about the codebase."
        ),
        "mode": "subagent",
        "permission": {"*": "deny"},
    },
    # OpenCode's own chores: there, and not to be asked for.
    "compaction": {"mode": "primary", "hidden": True},
    "title": {"mode": "primary", "hidden": True},
    "summary": {"mode": "primary", "hidden": True},
}
OUR_TOOLS = ("spawn_fleet", "wait_fleet")
EDITING = ("write", "edit", "patch", "multiedit")  # OpenCode's older names, all of which mean the permission `edit`


class Personas:
    """Reads what is offered, and remembers it while no file has changed."""

    def __init__(self, env: Mapping[str, str], roster: Sequence[Persona] = ()) -> None:
        self._env = env
        self._roster = {persona.name: persona for persona in roster}
        self._known: dict[str, tuple[Stamp, tuple[Persona, ...]]] = {}

    def of(self, directory: str) -> tuple[Persona, ...]:
        """Sorted by name. A file that cannot be read hides only itself."""
        found = [*sources(Path(directory), self._env)]
        managed = [*managed_sources()]
        stamp = _stamp([*found, *managed])
        known = self._known.get(directory)
        if known is None or known[0] != stamp:
            defined = _defined(found, self._env.get(CONTENT), managed)
            known = (stamp, _with_roster(_offered(defined), defined.keys(), self._roster))
            self._known[directory] = known
        return known[1]

    def files(self, directory: str) -> tuple[Path, ...]:
        """What is read for a directory, the weakest first; without the machine's own."""
        return tuple(source.path for source in sources(Path(directory), self._env))


def _stamp(found: Iterable[Source]) -> Stamp:
    stamps = []
    for source in found:
        try:
            state = source.path.stat()
        except OSError:
            continue
        stamps.append((source.path, state.st_mtime_ns, state.st_size))
    return tuple(stamps)


def _defined(found: Iterable[Source], content: str | None, managed: Iterable[Source]) -> dict[str, Definition]:
    """Everything that the files say of each agent, merged. `source` says where it was said last."""
    layers = [_layer(source) for source in found]
    layers.append(_safely(content, CONTENT))
    layers += [_layer(source) for source in managed]
    agents: Definition = {}
    modes: Definition = {}
    for layer in layers:
        agents = merge(agents, layer.get("agent") or {})
        modes = merge(modes, layer.get("mode") or {})
    return merge(agents, {name: {**mode, "mode": "primary"} for name, mode in modes.items()})


def _layer(source: Source) -> Definition:
    """One file as a configuration that holds agents only."""
    try:
        text = source.path.read_text(encoding="utf-8", errors="replace")
        if source.name is None:
            return _said_by(parse_config(text, str(source.path)), str(source.path))
        matter = {"name": source.name, **front_matter(text), "prompt": body(text)}
    except (OSError, HostFailed, FrontMatterError):
        return {}
    definition = {**matter, **({"mode": "primary"} if source.primary else {})}
    return _said_by({"agent": {str(matter["name"]): definition}}, str(source.path))


def _safely(text: str | None, where: str) -> Definition:
    try:
        return _said_by(parse_config(text, where), where)
    except HostFailed:
        return {}


def _said_by(config: Definition, where: str) -> Definition:
    """Only what can be a definition; a broken one does not hide its neighbours. `agents` is the newer spelling."""
    newer = {name: {**one, "disable": one.get("disabled")} for name, one in _definitions(config, "agents")}
    return {
        "agent": {name: {**one, "source": where} for name, one in [*newer.items(), *_definitions(config, "agent")]},
        "mode": {name: {**one, "source": where} for name, one in _definitions(config, "mode")},
    }


def _definitions(config: Definition, key: str) -> list[tuple[str, Definition]]:
    told = config.get(key)
    return [(str(name), one) for name, one in told.items() if _is_sound(one)] if isinstance(told, dict) else []


def _is_sound(definition: object) -> bool:
    if not isinstance(definition, dict):
        return False
    return definition.get("mode", "all") in MODES and isinstance(definition.get("description", ""), str)


def _offered(defined: Mapping[str, Definition]) -> tuple[Persona, ...]:
    known = {name: {**built_in, "source": BUILT_IN} for name, built_in in BUILT_INS.items()}
    for name, definition in defined.items():
        if definition.get("disable"):
            known.pop(name, None)
        else:
            known[name] = {**known.get(name, {}), **definition}
    return tuple(_persona(name, known[name]) for name in sorted(known) if not known[name].get("hidden"))


def _with_roster(
    offered: Iterable[Persona], defined: Iterable[str], roster: Mapping[str, Persona]
) -> tuple[Persona, ...]:
    """Also what is defined so that it is not offered hides its namesake in the roster."""
    own = {persona.name: replace(persona, **_shelf(persona, roster.get(persona.name))) for persona in offered}
    names = {*defined, *own, *BUILT_INS}
    added = {name: persona for name, persona in roster.items() if name not in names}
    return tuple(persona for _, persona in sorted({**own, **added}.items()))


def _shelf(persona: Persona, shipped: Persona | None) -> dict[str, Any]:
    """What its definition has no room for: of an installed copy, as the roster has it; else by the folder it is in."""
    if shipped is not None and shipped.description == persona.description:
        return {"division": shipped.division, "skills": shipped.skills}
    return {"division": persona.name.rpartition("/")[0] or None}


def _persona(name: str, definition: Definition) -> Persona:
    return Persona(
        name=str(definition.get("name") or name),
        description=definition.get("description", ""),
        mode=definition.get("mode", "all"),
        source=definition["source"],
        tools=tuple(tool for tool in OUR_TOOLS if _allows(definition, tool)),
        edits=_may_edit(definition),
        text=_prompt(definition),
    )


def _prompt(definition: Definition) -> str:
    prompt = definition.get("prompt")
    return prompt if isinstance(prompt, str) else ""


def _allows(definition: Definition, tool: str) -> bool:
    """By its exact name; an `allow` for everything is not meant for us."""
    rules = definition.get("permission")
    rule = rules.get(tool) if isinstance(rules, dict) else None
    if isinstance(rule, dict):
        rule = rule.get("*")
    if rule is None:
        flags = definition.get("tools")
        return isinstance(flags, dict) and flags.get(tool) is True
    return bool(rule == "allow")


def _may_edit(definition: Definition) -> bool:
    """Anything at all, asked for or not. What a shell can do besides is no matter of this permission."""
    rules = definition.get("permission")
    rule = rules.get("edit", rules.get("*")) if isinstance(rules, dict) else rules
    if isinstance(rule, dict):
        return "*" not in rule or any(action != "deny" for action in rule.values())
    if rule is not None:
        return bool(rule != "deny")
    flags = definition.get("tools")
    told = [flag for name, flag in flags.items() if name in EDITING] if isinstance(flags, dict) else []
    return told[-1] is not False if told else True
