"""Toolkit `team`: members that one leads, each in a worktree of its own."""

from muster.commands import teams as team_commands
from muster.surfaces.toolkits import Tool, Toolkit
from muster.views import teams

TEAM = Toolkit(
    "team",
    [
        Tool(name="team_create", verb=team_commands.create),
        Tool(name="team_spawn", verb=team_commands.spawn),
        Tool(name="team_shutdown", verb=team_commands.shutdown),
        Tool(name="team_merge", verb=team_commands.merge),
        Tool(name="team_undo_merge", verb=team_commands.undo_merge),
        Tool(name="team_cleanup", verb=team_commands.cleanup),
        Tool(name="team_status", verb=teams.status),
    ],
)
