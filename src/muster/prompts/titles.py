"""What a session is called in its host's lists."""

from muster.model.agent import Agent
from muster.visible import visible


def title(agent: Agent) -> str:
    return f"{agent.name} ({visible(agent.role)})"
