"""What somebody may do to messages, deliveries and receipts; and by which check it is found, of which row."""

from muster.store.schema import receipts
from unit.store.audit.ledgers import copied

MESSAGE = "(SELECT message FROM deliveries WHERE state = 'acknowledged')"
DELIVERY = "(SELECT id FROM deliveries WHERE state = 'acknowledged')"
SEEN = "(SELECT id FROM deliveries WHERE state = 'seen' LIMIT 1)"
LOST = "(SELECT id FROM deliveries WHERE state = 'undeliverable')"
QUEUED = "(SELECT id FROM deliveries WHERE state = 'queued')"
RECEIPT = "(SELECT id FROM receipts WHERE action = 'ack')"
NOTE = "(SELECT id FROM receipts WHERE action = 'r-ack')"
ANOTHER = "(SELECT a.id FROM agents a JOIN messages m ON a.fleet <> m.fleet LIMIT 1)"


def message(change: str) -> str:
    return f"UPDATE messages SET {change} WHERE id = {MESSAGE}"


def delivery(change: str, which: str = DELIVERY) -> str:
    return f"UPDATE deliveries SET {change} WHERE id = {which}"


def receipt(change: str, which: str = RECEIPT) -> str:
    return f"UPDATE receipts SET {change} WHERE id = {which}"


TAMPERINGS: list[tuple[str, str, str]] = [
    ("message.without_fleet", MESSAGE, message("fleet = 'flt_none'")),
    ("message.without_sender", MESSAGE, message("sender = 'agt_none'")),
    ("message.without_sender", MESSAGE, message(f"sender = {ANOTHER}")),
    ("message.from_another", MESSAGE, message("from_name = 'operator'")),
    ("message.from_another", MESSAGE, message("sender = NULL")),
    ("message.forged", MESSAGE, message("\"by\" = 'agent:agt_other'")),
    ("message.to_another", MESSAGE, message("\"to\" = 'agt_other'")),
    ("message.to_another", MESSAGE, message("recipients = '[]'")),
    ("message.to_nobody_known", MESSAGE, message("recipients = '[\"agt_none\"]'")),
    ("message.to_itself", MESSAGE, message("recipients = json_array(sender)")),
    ("message.undelivered", MESSAGE, f"DELETE FROM deliveries WHERE id = {DELIVERY}"),
    ("message.told_otherwise", MESSAGE, message("payload = payload || '!'")),
    ("message.told_otherwise", MESSAGE, message(f"sender = {ANOTHER}")),
    ("row.told_otherwise", MESSAGE, message("sent_at = sent_at + 1")),
    (
        "event.without_row",
        f"cursor FROM events WHERE body LIKE '%' || {MESSAGE} || '%'",
        f"DELETE FROM messages WHERE id = {MESSAGE}",
    ),
    ("delivery.without_message", DELIVERY, f"DELETE FROM messages WHERE id = {MESSAGE}"),
    ("delivery.to_no_recipient", DELIVERY, delivery(f"agent = {ANOTHER}")),
    ("delivery.misnamed", "'other'", delivery("id = 'other'")),
    ("delivery.unlike_its_message", DELIVERY, delivery("bytes = bytes + 1")),
    ("delivery.unlike_its_message", DELIVERY, delivery("sender = NULL")),
    ("delivery.unlike_its_message", DELIVERY, delivery("urgent = NOT urgent")),
    ("delivery.half_done", SEEN, delivery("injected_at = NULL", SEEN)),
    ("delivery.half_done", QUEUED, delivery("state = 'seen'", QUEUED)),
    ("delivery.half_done", DELIVERY, delivery("settled_at = NULL")),
    ("delivery.half_done", LOST, delivery("why = NULL", LOST)),
    ("delivery.held_and_moved", SEEN, delivery("held = 'a loop'", SEEN)),
    ("delivery.by_no_turn", SEEN, delivery("turn = 'trn_none'", SEEN)),
    ("delivery.told_otherwise", SEEN, delivery("seen_at = seen_at + 1", SEEN)),
    ("delivery.told_otherwise", QUEUED, delivery("state = 'undeliverable', why = 'lost'", QUEUED)),
    ("delivery.undeliverable_no_more", LOST, delivery("state = 'queued'", LOST)),
    ("delivery.without_receipt", DELIVERY, f"DELETE FROM receipts WHERE id = {RECEIPT}"),
    ("delivery.without_receipt", QUEUED, delivery("state = 'acknowledged'", QUEUED)),
    ("delivery.without_receipt", LOST, "DELETE FROM receipts WHERE action = 'undeliverable'"),
    ("row.out_of_order", SEEN, delivery("seen_at = injected_at - 1", SEEN)),
    ("receipt.without_message", RECEIPT, receipt("message = 'msg_none'")),
    ("receipt.of_a_stranger", NOTE, receipt(f"agent = {ANOTHER}", NOTE)),
    ("receipt.misnamed", RECEIPT, receipt("action = 'seen'")),
    ("receipt.forged", RECEIPT, receipt("\"by\" = 'agent:agt_other'")),
    ("receipt.of_no_acknowledgement", RECEIPT, delivery("state = 'seen'")),
    ("receipt.of_no_acknowledgement", "'copy'", copied(receipts, RECEIPT, agent=ANOTHER)),
    ("receipt.of_another_moment", RECEIPT, receipt("at = at + 1")),
    ("receipt.before_its_message", RECEIPT, receipt("at = 0")),
    ("row.told_otherwise", RECEIPT, receipt("at = at + 1")),
    ("row.told_otherwise", "'copy'", copied(receipts, RECEIPT)),
    ("wakeup.without_turn", "(SELECT id FROM wakeups LIMIT 1)", "UPDATE wakeups SET turn = 'trn_none'"),
]
