"""What a message costs its recipient: how long until its model hears of it, and the bytes beside the words."""

import statistics
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from e2e.stage import stage
from muster.model.ids import AgentId, FleetId, MessageId
from muster.model.message import Message, MessageType
from muster.prompts.messages import digest

LISTENER = """
agents:
  - name: listener
    steps:
      - {say: "ready"}
    then: {say: "noted"}
"""
TIMES = 21
PAYLOAD = "The parser is done and its tests are green; the merge may go on."
NOW = datetime(2026, 1, 1, tzinfo=UTC)


async def table() -> str:
    took = await _wake()
    rows = [
        "| to an idle agent | measured | wanted |",
        "|---|---|---|",
        f"| from sending to the model's request, p50 of {TIMES} | {statistics.median(took):.0f} ms | ≤ 300 ms |",
        f"| the slowest | {max(took):.0f} ms | |",
        f"| bytes beside the payload, one message | {_beside(1)} | |",
        f"| bytes beside the payload, each of ten in one prompt | {_beside(10) / 10:.0f} | |",
    ]
    return "\n".join(rows)


async def _wake() -> list[float]:
    """Milliseconds; each message finds the agent idle again."""
    took = []
    with tempfile.TemporaryDirectory() as folder:
        async with stage(Path(folder), LISTENER, wakeups_per_pair=0, wakeups_per_fleet=0) as on:
            fleet = await on.spawn({"role": "listener", "prompt": "Listen."})
            (listener,) = await on.wait(fleet)
            for _ in range(TIMES):
                heard = len(on.chats())
                began = time.monotonic()
                await on.call("message.send", to_agent_id=listener["agent_id"], type="result", payload=PAYLOAD)
                await on.wait(fleet)
                took.append((on.chats()[heard].at - began) * 1000)
    return took


def _beside(messages: int) -> int:
    """Bytes of the prompt that are nobody's words."""
    said = [
        Message(
            id=MessageId(f"msg_{number:012d}"),
            fleet=FleetId("flt_000000000000"),
            sender=AgentId("agt_000000000000"),
            from_name="reviewer",
            to="agt_000000000001",
            type=MessageType.RESULT,
            payload=PAYLOAD,
            correlation_id=None,
            recipients=(AgentId("agt_000000000001"),),
            by="agent:agt_000000000000",
            sent_at=NOW,
        )
        for number in range(messages)
    ]
    return len(digest(said, proposals=(), more=0, at_work=False).encode()) - messages * len(PAYLOAD.encode())
