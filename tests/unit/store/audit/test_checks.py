"""Each check finds the tampering that it is there for, and none finds anything in a store that was let alone."""

import sqlite3
from collections import Counter
from contextlib import closing

import pytest

from muster.errors import DatabaseDamaged
from muster.store.audit import CHECKS, MOST, MOST_OF_A_CHECK
from muster.store.audit.check import Sought
from muster.store.schema import runs
from unit.store.audit import clashes, decisions, merges, messages, routing, templates, worktrees
from unit.store.audit.ledgers import asked, contents, copied, look, tamper

RUN = "(SELECT id FROM runs WHERE outcome = 'done' LIMIT 1)"
TURN = "(SELECT id FROM turns WHERE ending = 'answered' LIMIT 1)"
AGENT = "(SELECT agent FROM runs WHERE outcome = 'done' LIMIT 1)"
LED = "(SELECT id FROM fleets WHERE spawned_in IS NOT NULL)"
GONE = "(SELECT id FROM asks WHERE state = 'gone')"
STOPPED = "(SELECT id FROM agents WHERE wanted = 'stopped' LIMIT 1)"
AGAIN = "INSERT INTO events SELECT NULL, at, name, actor, fleet, agent, body, 'x' FROM events"
ANOTHER_FLEET = "(SELECT max(id) FROM fleets WHERE id <> fleet)"
ANOTHER_DAY = 86_400_000_000


CLEANUP = (
    "INSERT INTO cleanups (id, fleet, force, acknowledge_uncommitted, members, asked_at, state, ended_at) "
    "VALUES ('cln_1', 'flt_none', 0, 0, '[]', 0,"
)
FLEETS: list[tuple[str, str, str]] = [
    # check, subject (SQL), tampering
    (
        "fleet.without_agents",
        "id FROM fleets LIMIT 1",
        "DELETE FROM agents WHERE fleet = (SELECT id FROM fleets LIMIT 1)",
    ),
    ("fleet.without_lead", LED, "DELETE FROM leads"),
    ("agent.without_fleet", f"id FROM agents WHERE fleet = {LED} LIMIT 1", f"DELETE FROM fleets WHERE id = {LED}"),
    ("agent.without_run", AGENT, f"DELETE FROM runs WHERE id = {RUN}"),
    ("row.without_agent", RUN, f"DELETE FROM agents WHERE id = {AGENT}"),
    ("row.in_another_fleet", TURN, f"UPDATE turns SET fleet = {ANOTHER_FLEET} WHERE id = {TURN}"),
    ("row.on_no_server", AGENT, "DELETE FROM servers"),
    ("turn.sent_in_no_run", TURN, f"UPDATE turns SET sent_in = 'run_none' WHERE id = {TURN}"),
    ("ask.without_run", "id FROM asks LIMIT 1", "UPDATE asks SET run = 'run_none'"),
    ("notice.without_lead", "id FROM notices", "UPDATE notices SET session = 'ses_none'"),
    ("notice.without_fleet", "id FROM notices", "UPDATE notices SET fleet = 'flt_none'"),
    ("agent.named_twice", LED, "UPDATE agents SET name = 'worker', wanted = 'running'"),
    ("cleanup.without_team", "'cln_1'", f"{CLEANUP} 'asked', NULL)"),
    ("cleanup.half_ended", "'cln_1'", f"{CLEANUP} 'done', NULL)"),
    ("agent.in_another_role", AGENT, f"UPDATE agents SET member = 1 WHERE id = {AGENT}"),
    ("agent.dismissed_and_there", AGENT, f"UPDATE agents SET leaving_at = created_at WHERE id = {AGENT}"),
    ("agent.wanted_in_ended", AGENT, "UPDATE fleets SET ended_at = created_at"),
    (
        "team.named_twice",
        "project FROM fleets ORDER BY seq LIMIT 1",
        "UPDATE fleets SET kind = 'team', name = 'twin', cancelled_at = NULL",
    ),
    ("agent.run_superseded", AGENT, copied(runs, RUN, number="7")),
    ("run.numbered_twice", AGENT, copied(runs, RUN)),
    (
        "run.beside_another",
        AGENT,
        copied(runs, RUN, number="7", state="'working'")
        + "; "
        + copied(runs, RUN, id="'more'", number="8", state="'queued'"),
    ),
    ("run.half_ended", RUN, f"UPDATE runs SET outcome = NULL WHERE id = {RUN}"),
    ("run.without_place", RUN, f"UPDATE runs SET state = 'working', server = NULL WHERE id = {RUN}"),
    ("turn.half_ended", TURN, f"UPDATE turns SET ended_at = NULL WHERE id = {TURN}"),
    ("turn.half_sent", TURN, f"UPDATE turns SET sends = 0 WHERE id = {TURN}"),
    (
        "turn.open_of_cancelled",
        f"id FROM turns WHERE agent = {STOPPED}",
        f"UPDATE turns SET ending = NULL WHERE agent = {STOPPED}",
    ),
    (
        "ask.half_answered",
        "id FROM asks WHERE state = 'delivered'",
        "UPDATE asks SET answer = NULL WHERE state = 'delivered'",
    ),
    ("ask.open_in_ended_run", GONE, "UPDATE asks SET state = 'waiting' WHERE state = 'gone'"),
    ("row.word_unknown", RUN, f"UPDATE runs SET outcome = 'great' WHERE id = {RUN}"),
    ("row.out_of_order", RUN, f"UPDATE runs SET ended_at = started_at - 1 WHERE id = {RUN}"),
    ("run.before_its_agent", RUN, f"UPDATE runs SET queued_at = queued_at - 1 WHERE id = {RUN}"),
    ("event.before_the_last", "9", "UPDATE events SET at = at - 1 WHERE cursor = 9"),
    ("row.told_otherwise", RUN, f"UPDATE runs SET ended_at = ended_at + {ANOTHER_DAY} WHERE id = {RUN}"),
    ("agent.ended_otherwise", AGENT, f"UPDATE agents SET wanted = 'stopped' WHERE id = {AGENT}"),
    ("agent.paused_otherwise", AGENT, f"UPDATE agents SET paused = 'sleepy' WHERE id = {AGENT}"),
    ("agent.spent_otherwise", AGENT, f"UPDATE agents SET tokens = 0 WHERE id = {AGENT}"),
    ("run.placed_otherwise", RUN, f"UPDATE runs SET server = 'srv_none' WHERE id = {RUN}"),
    ("turn.sent_otherwise", TURN, f"UPDATE turns SET sends = 2 WHERE id = {TURN}"),
    ("turn.ended_otherwise", TURN, f"UPDATE turns SET ending = 'failed' WHERE id = {TURN}"),
    ("ask.ended_otherwise", GONE, "UPDATE asks SET state = 'delivered' WHERE state = 'gone'"),
    ("server.generation_otherwise", "id FROM servers", "UPDATE servers SET generation = 9"),
    ("event.without_row", "min(cursor) FROM events WHERE fleet IS NOT NULL", "DELETE FROM fleets"),
    ("event.told_twice", RUN, f"{AGAIN} WHERE name = 'run.ended' AND agent = {AGENT}"),
    ("event.unknown", "9", "UPDATE events SET name = 'fleet.sunk' WHERE cursor = 9"),
    ("event.malformed", "9", "UPDATE events SET body = '{' WHERE cursor = 9"),
]


WORK = (*clashes.TAMPERINGS, *routing.TAMPERINGS, *worktrees.TAMPERINGS, *merges.TAMPERINGS)
TAMPERINGS = [*FLEETS, *messages.TAMPERINGS, *decisions.TAMPERINGS, *WORK, *templates.TAMPERINGS]


def test_store_that_was_let_alone_has_no_finding_and_is_what_it_was(ledger):
    before = contents(ledger.parent)
    found = look(ledger)
    assert (found.ok, found.errors, found.warnings, found.findings, found.more) == (True, 0, 0, [], 0)
    assert (found.counts["fleets"], found.counts["agents"], found.counts["events"]) == (8, 19, found.head.cursor)
    assert contents(ledger.parent) == before


@pytest.mark.parametrize(("check", "subject", "tampering"), TAMPERINGS, ids=[check for check, _, _ in TAMPERINGS])
def test_tampering_is_found_explained_and_left_as_it_is(lived, ledger, check, subject, tampering):
    concerned = asked(lived, f"SELECT {subject}")
    tamper(ledger, *tampering.split("; "))
    before = contents(ledger.parent)
    found = look(ledger)
    own = [finding for finding in found.findings if finding.check == check]
    assert concerned in {finding.subject for finding in own}, found.findings
    assert all("{" not in finding.detail and finding.detail.endswith(".") for finding in own)
    assert found.ok == (found.errors == 0)
    assert contents(ledger.parent) == before


def test_every_check_has_a_tampering_that_it_finds():
    assert {check for check, _, _ in TAMPERINGS} == {check.name for check in CHECKS}


def test_findings_are_bounded_and_the_rest_is_counted(ledger):
    tamper(ledger, "UPDATE events SET actor = 'x', name = 'x', body = ''")
    found = look(ledger)
    assert len(found.findings) <= MOST
    assert max(Counter(finding.check for finding in found.findings).values()) == MOST_OF_A_CHECK
    assert len(found.findings) + found.more == found.errors + found.warnings > 3 * found.head.cursor


def test_store_that_lacks_a_table_is_damaged(ledger):
    tamper(ledger, "DROP TABLE notices")
    with pytest.raises(DatabaseDamaged):
        look(ledger)


def test_what_stands_in_a_row_is_cut_in_a_sentence(ledger):
    tamper(ledger, f"UPDATE runs SET outcome = '{'x' * 1000}' WHERE id = {RUN}")
    assert max(len(finding.detail) for finding in look(ledger).findings) < 300


def test_no_check_reads_one_table_for_each_row_of_another(lived):
    """Else a million rows would take days: the inner side of each join is found by an index."""
    with closing(sqlite3.connect(f"file:{lived}?mode=ro", uri=True)) as file:
        for check in CHECKS:
            for text in check.texts if isinstance(check, Sought) else ():
                plan = file.execute(f"EXPLAIN QUERY PLAN {text}", (1,)).fetchall()
                loops = Counter(
                    parent for _, parent, _, step in plan if step.startswith("SCAN") and "VIRTUAL" not in step
                )
                assert max(loops.values(), default=0) <= 1, (check.name, plan)


MESHFLEET = {
    "agent.orphan_fleet": "agent.without_fleet",
    "agent.tampered_timestamp": "row.told_otherwise",
    "inbox.unknown_agent": "row.without_agent",
    "inbox.dangling_message": "delivery.without_message",
    "inbox.acked_still_queued": "receipt.of_no_acknowledgement",
    "message.tampered_timestamp": "row.told_otherwise",
    "message.ack_flag_mismatch": "delivery.without_receipt",
    "receipt.key_mismatch": "receipt.misnamed",
    "receipt.orphan_message": "receipt.without_message",
    "receipt.before_message": "receipt.before_its_message",
    "receipt.non_recipient_ack": "receipt.of_no_acknowledgement",
    "receipt.unknown_agent": "receipt.of_a_stranger",
    "ratification.weight_for_non_voter": "decision.weighed_wrong",
    "ratification.invalid_weight": "decision.weighed_wrong",
    "ratification.quorum_exceeds_voters": "decision.weighed_wrong",
    "ratification.duplicate_voters": "decision.voter_twice",
    "ratification.orphan_proposal": "decision.without_message",
    "ratification.signoff_not_voter": "decision.hangs_on_no_voter",
    "ratification.duplicate_vote_seq": "vote.misnumbered",
    "ratification.vote_seq_gap": "vote.misnumbered",
    "ratification.vote_from_non_voter": "vote.of_no_voter",
    "ratification.status_mismatch": "decision.counted_otherwise",
}
"""What the audit of Meshfleet finds, and by which check it is found here."""


def test_what_meshfleet_finds_is_found_here():
    assert set(MESHFLEET.values()) <= {check.name for check in CHECKS}
