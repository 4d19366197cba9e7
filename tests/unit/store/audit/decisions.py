"""What somebody may do to decisions and votes; and by which check it is found, of which row."""

from muster.store.schema import votes
from unit.store.audit.ledgers import copied

RATIFIED = "(SELECT id FROM decisions WHERE status = 'ratified')"
REJECTED = "(SELECT id FROM decisions WHERE status = 'rejected')"
OPEN = "(SELECT id FROM decisions WHERE status = 'open')"
FIRST = f"(SELECT id FROM votes WHERE decision = {RATIFIED} AND number = 1 AND approve = 0)"
SECOND = f"(SELECT id FROM votes WHERE decision = {RATIFIED} AND number = 2)"
SIGNER = f"(SELECT agent FROM votes WHERE decision = {RATIFIED} ORDER BY seq DESC LIMIT 1)"
RECASTER = f"(SELECT agent FROM votes WHERE id = {SECOND})"
LIVING = "(SELECT id FROM agents WHERE wanted = 'running' LIMIT 1)"
ANOTHER = f"(SELECT id FROM agents WHERE fleet <> (SELECT fleet FROM decisions WHERE id = {RATIFIED}) LIMIT 1)"


def decision(change: str, which: str = RATIFIED) -> str:
    return f"UPDATE decisions SET {change} WHERE id = {which}"


def vote(change: str, which: str = SECOND) -> str:
    return f"UPDATE votes SET {change} WHERE id = {which}"


TAMPERINGS: list[tuple[str, str, str]] = [
    ("decision.without_message", RATIFIED, f"DELETE FROM messages WHERE id = {RATIFIED}"),
    ("decision.without_lead", RATIFIED, decision("session = 'ses_none'")),
    ("decision.unlike_its_message", RATIFIED, decision("proposer = NULL")),
    ("decision.unlike_its_message", RATIFIED, f"UPDATE messages SET type = 'alert' WHERE id = {RATIFIED}"),
    ("decision.half_resolved", RATIFIED, decision("resolved_at = NULL")),
    ("decision.half_resolved", OPEN, decision("status = 'ratified'", OPEN)),
    ("decision.voter_unknown", RATIFIED, decision("voters = json_array('agt_none')")),
    ("decision.voter_twice", RATIFIED, decision("voters = json_insert(voters, '$[#]', json_extract(voters, '$[0]'))")),
    ("decision.hangs_on_no_voter", RATIFIED, decision(f"required_signoffs = json_array({ANOTHER})")),
    ("decision.hangs_on_no_voter", REJECTED, decision(f"absent = json_array({ANOTHER})", REJECTED)),
    ("decision.absent_alive", RATIFIED, decision(f"absent = json_array({RECASTER})")),
    ("decision.weighed_wrong", RATIFIED, decision("quorum = 9")),
    ("decision.weighed_wrong", RATIFIED, decision("weights = '[1]'")),
    ("decision.weighed_wrong", RATIFIED, decision("weights = '[5, -1]'")),
    ("decision.opened_otherwise", RATIFIED, decision(f"voters = json_array({SIGNER})")),
    ("decision.resolved_otherwise", RATIFIED, decision("status = 'rejected'")),
    ("decision.counted_otherwise", RATIFIED, decision("status = 'expired'")),
    ("decision.counted_otherwise", RATIFIED, f"DELETE FROM votes WHERE agent = {SIGNER}"),
    ("decision.counted_otherwise", RATIFIED, f"UPDATE votes SET approve = 0 WHERE agent = {SIGNER}"),
    ("decision.counted_otherwise", OPEN, f"UPDATE votes SET approve = 1 WHERE decision = {OPEN}"),
    ("decision.counted_otherwise", RATIFIED, decision("voters = 'nobody'")),
    ("decision.counted_otherwise", RATIFIED, decision("weights = '[1]'")),
    ("row.told_otherwise", RATIFIED, decision("quorum = 2")),
    ("row.out_of_order", RATIFIED, decision("resolved_at = opened_at - 1")),
    ("vote.without_decision", SECOND, vote("decision = 'msg_none'")),
    ("vote.of_no_voter", SECOND, vote(f"agent = {ANOTHER}")),
    ("vote.misnamed", SECOND, vote("number = 7")),
    ("vote.misnumbered", RECASTER, f"DELETE FROM votes WHERE id = {FIRST}"),
    ("vote.misnumbered", RECASTER, copied(votes, SECOND)),
    ("vote.misnumbered", RECASTER, vote("number = 3")),
    ("vote.repeated", SECOND, vote("approve = 0")),
    ("vote.forged", SECOND, vote("\"by\" = 'agent:agt_other'")),
    (
        "vote.after_the_end",
        SECOND,
        "UPDATE events SET cursor = 100000 WHERE name = 'vote.cast' AND body LIKE '%\"number\": 2%'",
    ),
    ("vote.after_the_deadline", SECOND, vote(f"at = (SELECT deadline_at FROM decisions WHERE id = {RATIFIED})")),
    ("row.told_otherwise", SECOND, vote("at = at + 1")),
    ("event.without_row", "cursor FROM events WHERE name = 'vote.cast' LIMIT 1", "DELETE FROM votes"),
]
