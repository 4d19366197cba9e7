"""The names of rows. Each is a prefix and 60 random bits, short enough for a model to repeat."""

from typing import NewType

FleetId = NewType("FleetId", str)
AgentId = NewType("AgentId", str)
RunId = NewType("RunId", str)
TurnId = NewType("TurnId", str)
AskId = NewType("AskId", str)
ServerId = NewType("ServerId", str)
NoticeId = NewType("NoticeId", str)
SessionId = NewType("SessionId", str)  # the host's own id of a conversation
