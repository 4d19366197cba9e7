"""What was tried on Meshfleet's councils, through MCP's own client: M36 to M39, MW13, its vote lock.

Where ours differ: a vote is no receipt that anybody could write, so receipts show `vote-approve` and `vote-decline`; a
vote after the outcome is refused; and everybody votes as itself.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from mcp import Client

from unit.stage import Stage
from unit.surfaces.test_mcp import session

pytestmark = pytest.mark.anyio


@dataclass(kw_only=True)
class Council:
    """A fleet whose agents rest, and their tools. Who calls is an agent's place; None is the operator."""

    stage: Stage
    url: str
    fleet: str
    agents: list[str]
    sessions: AsyncExitStack
    clients: dict[int | None, Client] = field(default_factory=dict)
    proposal: str = ""

    async def use(self, who: int | None, tool: str, **arguments: Any) -> dict[str, Any]:
        """The answer, or the error that it carries."""
        if who not in self.clients:
            keyring = self.stage.keyring
            token = keyring.operator() if who is None else keyring.agent(self.agents[who])
            self.clients[who] = await self.sessions.enter_async_context(session(self.url, token))
        result = await self.clients[who].call_tool(tool, arguments)
        assert result.is_error == ("error" in result.structured_content)
        return result.structured_content

    async def open(self, who: int | None = 0, **rules: Any) -> dict[str, Any]:
        told = await self.use(who, "open_ratification", **{"subject": "merge?", "fleet_id": self.fleet} | rules)
        self.proposal = told.get("message_id", self.proposal)
        return told

    async def vote(self, who: int, approve: bool = True, **rest: Any) -> str:
        """The status, or the code of the refusal."""
        told = await self.use(who, "cast_vote", message_id=self.proposal, approve=approve, **rest)
        return told["error"]["code"] if "error" in told else told["status"]

    async def tally(self) -> dict[str, Any]:
        told = await self.use(None, "tally_ratification", message_id=self.proposal)
        assert told["status"] == told["tally"]["status"]
        return told["tally"]

    async def votes(self) -> list[tuple[int, str]]:
        told = await self.use(None, "get_receipts", message_id=self.proposal)
        return [(self.agents.index(row["agent_id"]), row["action"]) for row in told["receipts"]]

    def soon(self) -> str:
        return (self.stage.clock() + timedelta(minutes=1)).isoformat()


@pytest.fixture
async def council(url: str, stage: Stage) -> AsyncIterator[Council]:
    """Of ten: one proposes, nine vote."""
    spawned = await stage.spawn(*"abcdefghij")
    async with AsyncExitStack() as sessions:
        yield Council(stage=stage, url=url, fleet=spawned["fleet_id"], agents=spawned["agent_ids"], sessions=sessions)


async def test_m36_quorum_of_six_of_nine_is_reached_by_the_sixth_approval(council):
    opened = await council.open(quorum=6)
    assert (opened["tally"]["status"], len(opened["tally"]["silent"])) == ("open", 9)
    assert [await council.vote(who) for who in range(1, 7)] == ["open"] * 5 + ["ratified"]
    assert (await council.tally())["approved"] == council.agents[1:7]


async def test_m36_quorum_that_cannot_be_reached_is_rejected(council):
    await council.open(quorum=6)
    assert [await council.vote(who, approve=False) for who in range(1, 5)] == ["open"] * 3 + ["rejected"]
    assert (await council.tally())["reachable"] is False


async def test_m36_sign_off_that_is_missing_keeps_it_open_and_declined_rejects_it_whatever_the_quorum(council):
    await council.open(quorum=2, required_signoffs=[council.agents[9]])
    assert [await council.vote(1), await council.vote(2)] == ["open", "open"]
    tally = await council.tally()
    assert (tally["approval_weight"], tally["signoffs_met"]) == (2, False)
    assert await council.vote(9, approve=False) == "rejected"


async def test_m37_deadline_expires_or_takes_silence_for_consent_but_never_for_a_sign_off(council):
    outcomes = {}
    for rules, outcome in (
        ({}, "expired"),
        ({"silence_policy": "approve"}, "ratified"),
        ({"silence_policy": "approve", "required_signoffs": [council.agents[1]]}, "expired"),
    ):
        await council.open(quorum=6, deadline=council.soon(), **rules)
        outcomes[council.proposal] = outcome
    council.stage.clock.advance(minutes=2)
    assert await council.use(None, "sweep_ratifications") == {"checked": 3, "resolved": outcomes}
    assert await council.use(None, "sweep_ratifications") == {"checked": 0, "resolved": {}}
    for proposal, outcome in outcomes.items():
        council.proposal = proposal
        assert (await council.tally())["status"] == outcome
    assert (await council.use(1, "sweep_ratifications"))["error"]["code"] == "denied"


async def test_m38_votes_are_appended_the_newest_counts_and_the_same_again_is_none(council):
    await council.open(quorum=6)
    for approve in (True, False, True, True):
        assert await council.vote(1, approve) == "open"
    assert await council.votes() == [(1, "vote-approve"), (1, "vote-decline"), (1, "vote-approve")]
    assert (await council.tally())["approved"] == [council.agents[1]]


async def test_m38_and_mw13_outcome_is_final_and_no_late_vote_changes_what_is_shown(council):
    await council.open(quorum=1)
    assert await council.vote(1) == "ratified"
    before = await council.tally()
    late = [await council.vote(1, approve=False), await council.vote(2, approve=False), await council.vote(3)]
    assert late == ["conflict"] * 3
    assert await council.tally() == before


@pytest.mark.parametrize("approve", ["false", "true", 1, 0, None])
async def test_m38_vote_is_a_boolean(council, approve):
    await council.open(quorum=1)
    told = await council.use(1, "cast_vote", message_id=council.proposal, approve=approve)
    assert (told["error"]["code"], told["error"]["facts"]["field"]) == ("wrong_type", "approve")


async def test_m38_who_is_no_voter_does_not_vote_and_what_is_no_proposal_takes_none(council):
    await council.open(quorum=1, voters=council.agents[1:3])
    assert [await council.vote(0), await council.vote(3)] == ["denied", "denied"]
    assert (await council.use(1, "cast_vote", message_id="msg_none", approve=True))["error"]["code"] == "not_found"


async def test_m39_weights_sum_up_to_the_quorum(council):
    await council.open(quorum=3, weights={council.agents[1]: 2})
    assert (await council.tally())["total_weight"] == 10
    assert [await council.vote(1), await council.vote(2)] == ["open", "ratified"]
    await council.open(quorum=2, weights={council.agents[1]: 2}, required_signoffs=[council.agents[2]])
    assert [await council.vote(1), await council.vote(2)] == ["open", "ratified"]


@pytest.mark.parametrize("weight", [0, -1, 1.5, 1_000_001, "2", True])
async def test_m39_weight_is_a_whole_number_up_to_a_million(council, weight):
    error = (await council.open(quorum=1, weights={council.agents[1]: weight}))["error"]
    assert error["code"] in ("bad_value", "wrong_type")
    assert error["facts"]["field"] == f"weights.{council.agents[1]}"
    assert {"expected", "got"} <= error["facts"].keys()


async def test_m39_rules_that_cannot_hold_are_refused(council):
    one, two, *_ = council.agents
    cases = [
        ("weights", {"quorum": 1, "weights": {one: 2}}),
        ("quorum", {"quorum": 11, "weights": {two: 2}}),
        ("quorum", {"quorum": 0}),
        ("quorum", {"quorum": 1.5}),
        ("required_signoffs", {"quorum": 1, "voters": [two], "required_signoffs": [council.agents[3]]}),
    ]
    told = [await council.open(**rules) for _, rules in cases]
    assert [answer["error"]["facts"]["field"] for answer in told] == [name for name, _ in cases]
    ghost = await council.open(quorum=1, weights={"constructor": 2})
    assert ghost["error"]["code"] == "not_found"
    assert (await council.use(None, "get_inbox", agent_id=two))["messages"] == []


async def test_mw_vote_lock_no_receipt_is_a_vote_nor_locks_one(council):
    await council.open(quorum=1)
    for action in ("r-decline:9007199254740991", "r-decline", "vote-decline", "vote-approve", "ack"):
        told = await council.use(1, "receipt", message_id=council.proposal, action=action)
        assert told["error"]["code"] == "bad_value"
    await council.use(1, "receipt", message_id=council.proposal, action="r-ack")
    assert (await council.tally())["approved"] == []
    assert await council.vote(1) == "ratified"


async def test_mw_nobody_votes_or_proposes_as_another(council):
    await council.open(quorum=1, voters=council.agents[1:3])
    assert await council.vote(3, agent_id=council.agents[1]) == "denied"
    assert (await council.open(0, quorum=1, proposer=council.agents[1]))["error"]["code"] == "denied"
    await council.use(None, "cast_vote", message_id=council.proposal, approve=False, agent_id=council.agents[1])
    (receipt,) = (await council.use(0, "get_receipts", message_id=council.proposal))["receipts"]
    assert (receipt["agent_id"], receipt["action"], receipt["by"]) == (council.agents[1], "vote-decline", "operator")


async def test_mw_council_of_voters_who_are_named_needs_no_others(council):
    """Meshfleet's proposal failed in a fleet without others, though its voters were named."""
    await council.open(None, quorum=1, voters=[council.agents[4]])
    assert await council.vote(4) == "ratified"
