"""Votes on the real OpenCode: a proposal wakes its voters, its outcome its proposer, a deadline survives the hub."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from e2e.stage import Stage, stage, wants_opencode
from e2e.standing import Standing

pytestmark = [pytest.mark.anyio, wants_opencode]


async def test_two_vote_on_what_a_third_proposes_which_is_woken_with_the_outcome(
    tmp_path: Path, standing: Standing
) -> None:
    scenario = """
    agents:
      - name: ada
        match: {text: You are ada}
        steps:
          - {say: ready}
          - {call: {tool: cast_vote, arguments: {message_id: "${user ~ (msg_[^ ]+) question}", approve: true}}}
        then: {say: "${cast_vote.status}"}
      - name: bob
        match: {text: You are bob}
        steps:
          - {say: ready}
          - call:
              tool: cast_vote
              arguments: {message_id: "${user ~ (msg_[^ ]+) question}", approve: true, note: fine with me}
        then: {say: "${cast_vote.status}"}
      - name: carol
        match: {text: You are carol}
        steps:
          - {call: {tool: open_ratification, arguments: {subject: "Ship it today?", quorum: 2}}}
          - {say: "proposed ${open_ratification.message_id}"}
        then: {say: "outcome: ${user ~ Your proposal .* is ([a-z]+):}"}
    """
    async with standing.stage(tmp_path, scenario) as on:
        fleet = await on.spawn({"role": "ada", "prompt": "Vote."}, {"role": "bob", "prompt": "Vote."})
        ada, bob = await on.wait(fleet)
        carol = await on.call("agent.attach", fleet_id=fleet, role="carol", prompt="Propose.")
        results = await on.wait(fleet)

        assert on.rehearsal.failures == ()
        assert sorted(result["output"] for result in results[:2]) == ["open", "ratified"]
        assert results[2]["output"] == "outcome: ratified"
        (proposal,) = (await on.call("decision.list", fleet_id=fleet))["decisions"]
        assert proposal["proposer"] == carol["agent_id"]
        assert proposal["tally"]["approved"] == [ada["agent_id"], bob["agent_id"]]
        receipts = (await on.call("receipt.list", message_id=proposal["message_id"]))["receipts"]
        votes = {row["agent_id"]: row["note"] for row in receipts if row["action"] == "vote-approve"}
        assert votes == {ada["agent_id"]: None, bob["agent_id"]: "fine with me"}
        assert told(on, "It is put to the vote: cast_vote") == 1


async def test_deadline_ends_a_vote_by_itself_though_the_hub_was_killed_meanwhile(tmp_path: Path) -> None:
    scenario = """
    agents:
      - name: proposer
        match: {text: You are proposer}
        steps:
          - {say: ready}
        then: {say: "outcome: ${user ~ Your proposal .* is ([a-z]+):}"}
      - name: voter
        match: {text: You are voter}
        steps:
          - {say: ready}
        then: {say: I keep silent.}
    """
    async with stage(tmp_path, scenario) as on:
        fleet = await on.spawn({"role": "proposer", "prompt": "Wait."}, {"role": "voter", "prompt": "Wait."})
        proposer, _ = await on.wait(fleet)
        deadline = datetime.now(UTC) + timedelta(seconds=8)
        opened = await on.call(
            "decision.open",
            proposer=proposer["agent_id"],
            subject="Ship it today?",
            quorum=1,
            deadline=deadline.isoformat(),
        )
        (_, voter) = await on.wait(fleet)
        assert voter["output"] == "I keep silent."
        await on.kill_hub()
        await on.start_hub()

        resolved = await on.journal("decision.resolved", message=opened["message_id"])
        assert resolved["body"]["status"] == "expired"
        assert datetime.fromisoformat(resolved["at"]) >= deadline
        results = await on.wait(fleet)
        assert [result["output"] for result in results] == ["outcome: expired", "I keep silent."]


def told(on: Stage, words: str) -> int:
    """In how many places of a conversation, at most."""
    return max(sum(words in message.text for message in chat.messages) for chat in on.chats())
