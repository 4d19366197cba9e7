"""What the settings mean: the ceilings of the machine, and what holds in a project by its own file and the user's."""

import os
from pathlib import Path

from muster import config
from muster.home import Home
from muster.model.budget import Budget, Budgets
from muster.model.ceiling import Ceilings, Sharding
from muster.model.facts import Terms
from muster.model.worktree import Recipe
from muster.trust import ProjectSettings, settings_of


def ceilings(settings: config.Settings) -> Ceilings:
    return Ceilings(
        total=settings.max_agents,
        fleet=settings.max_agents_per_fleet,
        persona=settings.max_agents_per_persona,
        model=settings.max_agents_per_model,
        provider=settings.max_agents_per_provider,
    )


def terms_at(home: Home, settings: config.Settings, project: Path) -> Terms:
    found = settings_at(home, settings, project)
    note, there = found.note(), found.over(settings)
    return Terms(
        budgets=_budgets(there),
        on_ask=found.granted.get("on_ask"),
        isolation=there.mesh_worktree,
        land_when_quiet=there.land_when_quiet,
        recipe=Recipe(
            begins_as=there.worktree_base,
            setup=there.worktree_setup,
            copy=there.worktree_copy,
            link=there.worktree_link,
        ),
        notes=() if note is None else (note,),
    )


def settings_at(home: Home, settings: config.Settings, project: Path) -> ProjectSettings:
    return settings_of(project, settings, config.named_in(os.environ), home)


def _budgets(settings: config.Settings) -> Budgets:
    return Budgets(
        fleet=Budget(
            max_turns=settings.max_turns_per_fleet,
            max_tokens=settings.max_tokens_per_fleet,
            max_seconds=settings.max_seconds_per_fleet,
        ),
        agent=Budget(
            max_turns=settings.max_turns_per_agent,
            max_tokens=settings.max_tokens_per_agent,
            max_seconds=settings.max_seconds_per_agent,
        ),
    )


def sharding(settings: config.Settings) -> Sharding:
    return Sharding(agents=settings.agents_per_server, directories=settings.directories_per_server)
