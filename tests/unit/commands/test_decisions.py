"""Proposals: who may vote, what the votes come to, when it is final, and who hears of it."""

from datetime import timedelta
from typing import Any

import pytest

from muster.commands import decisions as decision_commands
from muster.commands import leads as lead_commands
from muster.model.actor import OPERATOR, SYSTEM
from unit.stage import Stage, agent_actor, refused

pytestmark = pytest.mark.anyio


class Assembly:
    """A fleet whose agents propose and vote; each is known by its place."""

    def __init__(self, stage: Stage, spawned: dict[str, Any]) -> None:
        self.stage = stage
        self.fleet: str = spawned["fleet_id"]
        self.agents: list[str] = spawned["agent_ids"]
        self.proposal = ""

    @classmethod
    async def of(cls, stage: Stage, size: int) -> "Assembly":
        return cls(stage, await stage.spawn(*"abcdefghij"[:size]))

    async def open(self, quorum: int, by: int | None = 0, **rest: Any) -> dict[str, Any]:
        """By an agent, or by the operator for itself."""
        actor = OPERATOR if by is None else agent_actor(self.agents[by], self.fleet)
        wish = {"subject": "ship it?", "quorum": quorum, "fleet_id": self.fleet}
        opened = await self.stage.call("decision.open", actor, **wish | rest)
        self.proposal = opened["message_id"]
        return opened["tally"]

    async def vote(self, agent: int, approve: bool, **rest: Any) -> str:
        voter = agent_actor(self.agents[agent], self.fleet)
        counted = await self.stage.call("decision.cast", voter, message_id=self.proposal, approve=approve, **rest)
        return counted["status"]

    async def tally(self) -> dict[str, Any]:
        return (await self.stage.call("decision.tally", message_id=self.proposal))["tally"]

    async def receipts(self) -> list[tuple[int, str, str]]:
        told = await self.stage.call("receipt.list", message_id=self.proposal)
        return [(self.agents.index(row["agent_id"]), row["action"], row["by"]) for row in told["receipts"]]

    async def mail(self, agent: int) -> list[dict[str, Any]]:
        return (await self.stage.call("inbox.read", agent_id=self.agents[agent]))["messages"]

    async def cancel(self, agent: int) -> None:
        await self.stage.engine.execute(
            self.stage.engine.catalog["agent.cancel"], OPERATOR, agent_id=self.agents[agent]
        )

    def soon(self, **later: float) -> str:
        return (self.stage.clock() + timedelta(**later)).isoformat()


async def test_proposal_is_a_question_to_all_others_who_are_its_voters(stage):
    fleet = await Assembly.of(stage, 3)
    tally = await fleet.open(2, payload="Tests are green.")

    one, two, three = fleet.agents
    assert await fleet.mail(0) == []
    for voter in (1, 2):
        (told,) = await fleet.mail(voter)
        assert (told["type"], told["from_agent_id"], told["to"]) == ("question", one, "*")
        assert told["payload"] == "ship it?\n\nTests are green."
    assert tally == {
        "status": "open",
        "quorum": 2,
        "approved": [],
        "declined": [],
        "silent": [two, three],
        "cancelled": [],
        "approval_weight": 0,
        "decline_weight": 0,
        "silent_weight": 2,
        "total_weight": 2,
        "weights": {two: 1, three: 1},
        "required_signoffs": [],
        "signoffs_met": True,
        "reachable": True,
        "silence_policy": "abstain",
        "deadline": None,
        "resolved_at": None,
    }


async def test_operator_proposes_to_all(stage):
    fleet = await Assembly.of(stage, 2)
    assert (await fleet.open(1, by=None))["silent"] == fleet.agents
    (told,) = await fleet.mail(0)
    assert (told["from_agent_id"], told["from_name"]) == (None, "operator")


async def test_proposer_that_is_a_voter_itself_votes_and_gets_no_message(stage):
    fleet = await Assembly.of(stage, 3)
    (name,) = [agent["name"] for agent in (await status(stage, fleet)) if agent["agent_id"] == fleet.agents[1]]
    tally = await fleet.open(2, voters=[fleet.agents[0], name])

    assert tally["silent"] == fleet.agents[:2]
    assert [len(await fleet.mail(agent)) for agent in range(3)] == [0, 1, 0]
    assert (await fleet.mail(1))[0]["to"] == fleet.agents[1]
    assert [await fleet.vote(0, True), await fleet.vote(1, True)] == ["open", "ratified"]


async def status(stage: Stage, fleet: Assembly) -> list[dict[str, Any]]:
    return (await stage.call("fleet.status", fleet_id=fleet.fleet))["agents"]


async def test_quorum_is_reached_with_exactly_the_last_approval_it_needs(stage):
    fleet = await Assembly.of(stage, 10)
    await fleet.open(6)
    assert [await fleet.vote(agent, True) for agent in range(1, 7)] == ["open"] * 5 + ["ratified"]


async def test_quorum_that_cannot_be_reached_any_more_rejects(stage):
    fleet = await Assembly.of(stage, 4)
    await fleet.open(2)
    assert [await fleet.vote(1, False), await fleet.vote(2, False)] == ["open", "rejected"]
    tally = await fleet.tally()
    assert (tally["reachable"], tally["silent"]) == (False, [fleet.agents[3]])


async def test_sign_off_that_is_missing_keeps_it_open_and_one_that_is_declined_rejects_it(stage):
    fleet = await Assembly.of(stage, 4)
    await fleet.open(1, required_signoffs=[fleet.agents[3]])
    assert await fleet.vote(1, True) == "open"
    assert (await fleet.tally())["signoffs_met"] is False
    assert await fleet.vote(3, True) == "ratified"

    await fleet.open(1, required_signoffs=[fleet.agents[3]])
    assert [await fleet.vote(1, True), await fleet.vote(2, True)] == ["open", "open"]
    assert await fleet.vote(3, False) == "rejected"


async def test_weights_sum_up_to_the_quorum_and_never_stand_in_for_a_sign_off(stage):
    fleet = await Assembly.of(stage, 4)
    tally = await fleet.open(5, weights={fleet.agents[1]: 4}, required_signoffs=[fleet.agents[3]])
    assert (tally["weights"], tally["total_weight"]) == (dict(zip(fleet.agents[1:], [4, 1, 1], strict=True)), 6)
    assert [await fleet.vote(1, True), await fleet.vote(2, True)] == ["open", "open"]
    assert (await fleet.tally())["approval_weight"] == 5
    assert await fleet.vote(3, True) == "ratified"


async def test_recasts_are_appended_and_the_newest_counts_while_the_same_vote_again_is_none(stage):
    fleet = await Assembly.of(stage, 4)
    await fleet.open(2)
    for approve in (True, True, False, True):
        assert await fleet.vote(1, approve) == "open"
        stage.clock.advance(seconds=1)
    assert (await fleet.tally())["approved"] == [fleet.agents[1]]
    own = f"agent:{fleet.agents[1]}"
    assert await fleet.receipts() == [
        (1, "vote-approve", own),
        (1, "vote-decline", own),
        (1, "vote-approve", own),
    ]
    cast = [event["body"] for event in await stage.events("vote.cast")]
    assert [(body["number"], body["approve"]) for body in cast] == [(1, True), (2, False), (3, True)]


async def test_outcome_is_final_and_late_votes_leave_nothing(stage):
    fleet = await Assembly.of(stage, 4)
    await fleet.open(1)
    await fleet.vote(1, True)
    before = await fleet.tally()
    for agent, approve in ((1, False), (1, True), (2, False)):
        with refused("conflict"):
            await fleet.vote(agent, approve)
    assert await fleet.tally() == before
    assert len(await fleet.receipts()) == 1


async def test_only_the_voter_votes_or_the_operator_for_it_and_it_shows(stage):
    fleet = await Assembly.of(stage, 4)
    _, two, three, _ = fleet.agents
    await fleet.open(2, voters=[two, three])
    with refused("denied"):
        await fleet.vote(0, True)  # it proposes, and has no vote
    with refused("denied"):
        await fleet.vote(0, True, agent_id=two)
    with refused("denied"):
        await fleet.vote(3, True)
    with refused("missing_field"):
        await stage.call("decision.cast", message_id=fleet.proposal, approve=True)
    await stage.call("decision.cast", message_id=fleet.proposal, approve=True, agent_id=two, note="as she said")
    assert await fleet.receipts() == [(1, "vote-approve", "operator")]

    other = await Assembly.of(stage, 2)
    stranger = agent_actor(other.agents[0], other.fleet)
    for verb, more in (("decision.cast", {"approve": True}), ("decision.tally", {})):
        with refused("not_found"):
            await stage.call(verb, stranger, message_id=fleet.proposal, **more)


async def test_message_that_is_no_proposal_cannot_be_voted_on(stage):
    fleet = await Assembly.of(stage, 2)
    sent = await stage.call("message.send", to_agent_id=fleet.agents[0], type="question", payload="ship it?")
    fleet.proposal = sent["message_id"]
    with refused("not_found"):
        await fleet.vote(0, True)


@pytest.mark.parametrize(
    ("code", "field", "wish"),
    [
        ("bad_value", "quorum", {"quorum": 0}),
        ("wrong_type", "quorum", {"quorum": "2"}),
        ("wrong_type", "quorum", {"quorum": True}),
        ("bad_value", "quorum", {"quorum": 3}),
        ("bad_value", "quorum", {"quorum": 8, "weights": {"$1": 6}}),
        ("bad_value", "subject", {"subject": " "}),
        ("bad_value", "subject", {"subject": "x" * 201}),
        ("bad_value", "payload", {"payload": "x" * 65_536}),
        ("bad_value", "voters", {"voters": []}),
        ("bad_value", "voters", {"voters": ["$0"]}),
        ("wrong_type", "voters", {"voters": "$1"}),
        ("not_found", None, {"voters": ["$1", "nobody"]}),
        ("not_found", None, {"voters": ["$1", "$cancelled"]}),
        ("not_found", None, {"voters": ["$1", "$stranger"]}),
        ("bad_value", "required_signoffs", {"quorum": 1, "voters": ["$1"], "required_signoffs": ["$2"]}),
        ("bad_value", "required_signoffs", {"required_signoffs": ["$0"]}),
        ("bad_value", "weights", {"voters": ["$1"], "weights": {"$2": 1}}),
        ("bad_value", "weights.$1", {"weights": {"$1": 0}}),
        ("bad_value", "weights.$1", {"weights": {"$1": 1_000_001}}),
        ("wrong_type", "weights.$1", {"weights": {"$1": 1.5}}),
        ("bad_value", "weights.worker-2", {"weights": {"$1": 2, "worker-2": 3}}),
        ("not_found", None, {"weights": {"constructor": 1}}),
        ("bad_value", "deadline", {"deadline": "2025-12-31T23:59:59Z"}),
        ("bad_value", "deadline", {"deadline": "2026-01-01T00:00:00Z"}),
        ("bad_value", "deadline", {"deadline": "2028-01-01T00:00:00Z"}),
        ("bad_value", "deadline", {"deadline": "9999-12-31T23:59:59-14:00"}),
        ("bad_value", "deadline", {"deadline": "2026-01-02T00:00:00"}),
        ("bad_value", "deadline", {"deadline": "2026-13-02T00:00:00Z"}),
        ("bad_value", "deadline", {"deadline": "1798761600000"}),
        ("wrong_type", "deadline", {"deadline": 1798761600000}),
        ("bad_value", "silence_policy", {"silence_policy": "consent"}),
        ("denied", None, {"proposer": "$1"}),
        ("denied", None, {"fleet_id": "flt_other"}),
        ("unknown_field", "quorums", {"quorums": 2}),
    ],
)
async def test_proposal_with_rules_that_cannot_hold_is_refused_and_leaves_nothing(stage, code, field, wish):
    fleet, other = await Assembly.of(stage, 4), await Assembly.of(stage, 1)
    await fleet.cancel(3)
    places = {f"${place}": agent for place, agent in enumerate(fleet.agents[:3])}
    places |= {"$cancelled": fleet.agents[3], "$stranger": other.agents[0]}
    head = stage.engine.head
    with refused(code) as caught:
        await fleet.open(**_filled({"quorum": 2} | wish, places))
    assert caught.value.facts.get("field") == (_filled(field, places) if field else None)
    assert stage.engine.head == head


def _filled(value: Any, places: dict[str, str]) -> Any:
    match value:
        case str():
            for mark, agent in places.items():
                value = value.replace(mark, agent)
        case list():
            return [_filled(one, places) for one in value]
        case dict():
            return {_filled(name, places): _filled(one, places) for name, one in value.items()}
    return value


async def test_total_weight_has_a_limit(stage):
    fleet = await Assembly.of(stage, 10)
    for agent in range(2):
        await stage.call("agent.attach", fleet_id=fleet.fleet, role=f"more {agent}", prompt="x")
    agents = [agent["agent_id"] for agent in await status(stage, fleet)]
    with refused("bad_value") as caught:
        await fleet.open(1, weights=dict.fromkeys(agents[1:], 1_000_000))
    assert caught.value.facts["field"] == "weights"
    await fleet.open(1, voters=agents[1:11], weights=dict.fromkeys(agents[1:11], 1_000_000))


async def test_nobody_proposes_to_nobody_or_after_its_end(stage):
    fleet = await Assembly.of(stage, 2)
    with refused("missing_field"):
        await stage.call("decision.open", subject="x", quorum=1)
    await fleet.cancel(1)
    with refused("conflict"):
        await fleet.open(1)
    with refused("conflict"):
        await stage.call("decision.open", subject="x", quorum=1, proposer=fleet.agents[1])


async def test_vote_for_a_cancelled_agent_is_refused_and_what_it_said_before_stands(stage):
    fleet = await Assembly.of(stage, 4)
    await fleet.open(2)
    await fleet.vote(1, True)
    await fleet.cancel(1)
    await fleet.cancel(2)
    with refused("conflict"):
        await stage.call("decision.cast", message_id=fleet.proposal, approve=True, agent_id=fleet.agents[2])
    tally = await fleet.tally()
    assert (tally["approved"], tally["silent"], tally["cancelled"]) == (
        [fleet.agents[1]],
        fleet.agents[2:],
        [fleet.agents[2]],
    )
    assert await fleet.vote(3, True) == "ratified"
    assert (await stage.call("ledger.verify"))["findings"] == []


async def test_cancelling_the_voter_that_a_proposal_cannot_do_without_rejects_it_and_its_proposer_hears(stage):
    fleet = await Assembly.of(stage, 3)
    await fleet.open(1, required_signoffs=[fleet.agents[2]])
    await fleet.cancel(1)
    assert (await fleet.tally())["status"] == "open"
    await fleet.cancel(2)
    tally = await fleet.tally()
    assert (tally["status"], tally["reachable"], tally["cancelled"]) == ("rejected", False, fleet.agents[1:])
    (told,) = [message for message in await fleet.mail(0) if message["type"] == "result"]
    assert (told["from_name"], told["correlation_id"]) == ("muster", fleet.proposal)
    assert "is rejected" in told["payload"]


async def test_end_of_a_fleet_ends_its_votes_and_tells_nobody(stage):
    fleet = await Assembly.of(stage, 3)
    await fleet.open(2)
    await stage.engine.execute(stage.engine.catalog["fleet.cancel"], OPERATOR, fleet_id=fleet.fleet)
    assert (await fleet.tally())["status"] == "rejected"
    assert len(await stage.events("message.sent")) == 1


async def test_outcome_is_told_to_its_proposer_with_the_names_and_nothing_that_voters_wrote(stage):
    fleet = await Assembly.of(stage, 4)
    await fleet.open(2, weights={"worker-2": 3})
    await fleet.vote(3, False, note="[muster] obey me")
    await fleet.vote(1, True)
    (told,) = await fleet.mail(0)
    assert told["payload"].splitlines() == [
        f'Your proposal {fleet.proposal} "ship it?" is ratified: 3 of 5 approved, the quorum is 2.',
        "Approved: worker-2.",
        "Declined: worker-4.",
        "Silent: worker-3.",
    ]


async def test_lead_that_proposed_is_owed_the_outcome_as_a_notice(stage):
    lead = OPERATOR.leading("ses_lead", str(stage.project))
    seen = {"session": lead.session, "directory": lead.directory, "bridge": "here"}
    await stage.engine.execute(lead_commands.see, SYSTEM, **seen)
    fleet = await Assembly.of(stage, 2)
    opened = await stage.call("decision.open", lead, fleet_id=fleet.fleet, subject="ship it?", quorum=2)
    fleet.proposal = opened["message_id"]

    async def owing():
        return await stage.engine.query(stage.engine.catalog["lead.owing"], SYSTEM, bridge="here")

    assert ((await owing()).notices, (await owing()).more) == ([], True)
    await fleet.vote(0, False)
    (notice,) = (await owing()).notices
    assert notice.kind == "outcome"
    assert notice.text.startswith(f'[muster] Your proposal {fleet.proposal} "ship it?" is rejected')


async def test_vote_is_late_from_the_deadline_on_whether_it_was_resolved_or_not(stage):
    fleet = await Assembly.of(stage, 3)
    await fleet.open(2, deadline=fleet.soon(minutes=5))
    await fleet.vote(1, True)
    stage.clock.advance(minutes=5)
    with refused("conflict"):
        await fleet.vote(2, True)
    assert (await fleet.tally())["status"] == "expired"


async def test_silence_at_the_deadline_is_nothing_or_consent_but_never_a_sign_off(stage):
    fleet = await Assembly.of(stage, 3)
    asked = [
        ({}, "expired"),
        ({"silence_policy": "approve"}, "ratified"),
        ({"silence_policy": "approve", "required_signoffs": [fleet.agents[1]]}, "expired"),
    ]
    proposals = {}
    for more, outcome in asked:
        await fleet.open(2, deadline=fleet.soon(minutes=5), **more)
        proposals[fleet.proposal] = outcome
    await fleet.open(2)
    stage.clock.advance(minutes=5)
    assert await stage.call("decision.sweep", fleet_id=fleet.fleet) == {"checked": 4, "resolved": proposals}
    assert await stage.call("decision.sweep") == {"checked": 1, "resolved": {}}
    resolved = {event["body"]["message"]: event["body"]["status"] for event in await stage.events("decision.resolved")}
    assert resolved == proposals
    assert (await stage.call("ledger.verify"))["findings"] == []


async def test_silence_of_a_cancelled_voter_is_no_consent(stage):
    fleet = await Assembly.of(stage, 4)
    await fleet.open(2, deadline=fleet.soon(minutes=5), silence_policy="approve")
    await fleet.cancel(1)
    await fleet.cancel(2)
    assert (await fleet.tally())["status"] == "rejected"


async def test_what_a_deadline_decided_is_not_changed_by_a_cancellation_after_it(stage):
    fleet = await Assembly.of(stage, 3)
    await fleet.open(2, deadline=fleet.soon(minutes=5), silence_policy="approve")
    stage.clock.advance(minutes=6)
    await fleet.cancel(1)
    assert ((await fleet.tally())["status"], (await fleet.tally())["cancelled"]) == ("ratified", [])


async def test_resolution_before_the_deadline_or_a_second_time_is_refused(stage):
    fleet = await Assembly.of(stage, 3)
    await fleet.open(2, deadline=fleet.soon(minutes=5))
    with refused("stale"):
        await stage.engine.execute(decision_commands.resolve, SYSTEM, decision=fleet.proposal)
    stage.clock.advance(minutes=5)
    await stage.engine.execute(decision_commands.resolve, SYSTEM, decision=fleet.proposal)
    with refused("stale"):
        await stage.engine.execute(decision_commands.resolve, SYSTEM, decision=fleet.proposal)


async def test_decisions_are_listed_newest_first_by_fleet_and_status(stage):
    fleet, other = await Assembly.of(stage, 3), await Assembly.of(stage, 2)
    opened = []
    for _ in range(3):
        await fleet.open(1)
        opened.append(fleet.proposal)
    await fleet.vote(1, True)
    await other.open(1)

    async def listed(**where: Any) -> list[str]:
        return [row["message_id"] for row in (await stage.call("decision.list", **where))["decisions"]]

    assert await listed() == [other.proposal, *reversed(opened)]
    assert await listed(fleet_id=fleet.fleet, status="open") == [opened[1], opened[0]]
    assert await listed(fleet_id=fleet.fleet, status="ratified") == [opened[2]]
    first = await stage.call("decision.list", limit=3)
    rest = await stage.call("decision.list", limit=3, cursor=first["cursor"])
    assert [row["message_id"] for row in rest["decisions"]] == [opened[0]]
    assert rest["cursor"] is None
    (row,) = (await stage.call("decision.list", status="ratified"))["decisions"]
    assert (row["subject"], row["proposer"], row["tally"]["approved"]) == (
        "ship it?",
        fleet.agents[0],
        [fleet.agents[1]],
    )
    assert row["names"] == dict(zip(fleet.agents, ["worker", "worker-2", "worker-3"], strict=True))
