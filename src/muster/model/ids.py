"""The names of rows. Most are a prefix and 60 random bits, short enough for a model to repeat."""

from typing import NewType

FleetId = NewType("FleetId", str)
AgentId = NewType("AgentId", str)
RunId = NewType("RunId", str)
TurnId = NewType("TurnId", str)
AskId = NewType("AskId", str)
ServerId = NewType("ServerId", str)
NoticeId = NewType("NoticeId", str)
MessageId = NewType("MessageId", str)
DeliveryId = NewType("DeliveryId", str)  # a message's and a recipient's: a colon lies between them
ReceiptId = NewType("ReceiptId", str)
VoteId = NewType("VoteId", str)
WakeupId = NewType("WakeupId", str)
WorktreeId = NewType("WorktreeId", str)
SnapshotId = NewType("SnapshotId", str)
CleanupId = NewType("CleanupId", str)
ErrandId = NewType("ErrandId", str)
MergeId = NewType("MergeId", str)
LandedPathId = NewType("LandedPathId", str)  # a merge's and a number: a colon lies between them
ClashId = NewType("ClashId", str)
CapabilityId = NewType("CapabilityId", str)
OutcomeId = NewType("OutcomeId", str)
TemplateId = NewType("TemplateId", str)
EmbeddingId = NewType("EmbeddingId", str)  # a hash of the model and the text
SessionId = NewType("SessionId", str)  # the host's own id of a conversation
