from typing import NewType

AgentId = NewType("AgentId", str)
SessionId = NewType("SessionId", str)
