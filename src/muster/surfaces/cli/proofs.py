"""What came of messages and votes, for people: each in a few words, below it who got it, who said what."""

from muster.surfaces.cli.mail import EVERYBODY
from muster.surfaces.cli.output import Json
from muster.surfaces.cli.text import clock
from muster.visible import visible

SUBJECT = 60  # letters


def messages_text(messages: list[Json]) -> str:
    """Each message in a few words; below it how far it got with each recipient, and who noted what on it."""
    return "\n".join(map(_proof_text, messages)) or "No messages."


def decisions_text(decisions: list[Json]) -> str:
    """Each vote with its outcome; below it who said what."""
    return "\n".join(map(_decision_text, decisions)) or "No votes."


def _proof_text(message: Json) -> str:
    to = "all" if message["to"] == EVERYBODY else visible(message["recipients"][0]["name"])
    named = {one["agent_id"]: one["name"] for one in message["recipients"]}
    named |= {message["from_agent_id"]: message["from_name"], None: "operator"}
    by = f" (by {visible(message['by'])})" if message["by"] == "operator" and message["from_agent_id"] else ""
    head = f"{message['message_id']}  {clock(message['sent_at'])}  {message['type']}"
    words = visible(" ".join(message["excerpt"].split()), limit=SUBJECT)
    lines = [f"{head}  {visible(message['from_name'])}{by} → {to}: {words}"]
    lines += [f"    {visible(one['name']):16}  {_reached(one)}" for one in message["recipients"]]
    lines += [_receipt_text(receipt, named) for receipt in message["receipts"]]
    return "\n".join(lines)


def _reached(recipient: Json) -> str:
    why = recipient["why"] or recipient["held"]
    return f"{recipient['state']}{': ' + visible(why) if why else ''}"


def _receipt_text(receipt: Json, named: dict[str | None, str]) -> str:
    """`by` is told where it is neither the agent itself nor the hub, which saw it."""
    by = f" by {receipt['by']}" if receipt["by"] == "operator" and receipt["agent_id"] else ""
    note_ = f": {visible(receipt['note'])}" if receipt["note"] else ""
    whose = visible(named.get(receipt["agent_id"]) or str(receipt["agent_id"]))
    return f"    {clock(receipt['at'])}  {whose}: {visible(receipt['action'])}{by}{note_}"


def _decision_text(decision: Json) -> str:
    tally, names = decision["tally"], decision["names"]
    proposer = "operator" if decision["proposer"] is None else names[decision["proposer"]]
    head = f"{decision['message_id']}  {clock(decision['opened_at'])}  {decision['status']}  {visible(proposer)}: "
    counted = f"{tally['approval_weight']} of {tally['total_weight']} approved, quorum {tally['quorum']}"
    if decision["status"] == "open" and tally["deadline"]:
        counted += f", ends {clock(tally['deadline'])}"
    lines = [f"{head}{visible(decision['subject'], limit=SUBJECT)}  ({counted})"]
    unsigned = [voter for voter in tally["required_signoffs"] if voter not in tally["approved"]]
    said = {word: tally[word] for word in ("approved", "declined", "silent")} | {"sign-off missing": unsigned}
    lines += [f"    {word}: {', '.join(visible(names[one]) for one in who)}" for word, who in said.items() if who]
    return "\n".join(lines)
