"""The rehearsal: a scripted model server, so that every flow runs on the real OpenCode without a key.

Above it stand the tests, the demo and users' dry runs; below it only HTTP on the loopback. It plays
a scenario (`docs/rehearsal.md`) to whoever asks in OpenAI's chat format. It knows OpenCode's habits
(session headers, title requests) and nothing of fleets, agents or the hub.
"""

from muster.rehearsal.conversation import Kind, Message, ToolCall
from muster.rehearsal.opencode import opencode_config
from muster.rehearsal.reading import load_scenario, parse_scenario
from muster.rehearsal.scenario import Scenario
from muster.rehearsal.server import Rehearsal
from muster.rehearsal.stage import Failure, Outcome, Request

__all__ = [
    "Failure",
    "Kind",
    "Message",
    "Outcome",
    "Rehearsal",
    "Request",
    "Scenario",
    "ToolCall",
    "load_scenario",
    "opencode_config",
    "parse_scenario",
]
