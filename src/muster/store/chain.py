"""The hash chain over the journal: each entry's hash stands on the one before it.

An entry's hash is the SHA-256, in hexadecimal, of this JSON array in UTF-8, as `JSON.stringify` writes it (no spaces,
nothing beyond ASCII escaped):

    [previous hash, moment, name, actor, fleet, agent, body]

`moment` is the whole number of microseconds in the row, `fleet` and `agent` may be null, `body` is the text in the row;
the hash before the first entry is empty. So whoever knows the hash of one entry knows it of all that stand before it.
What that proves, and what not, is in docs/ledger.md.
"""

import hashlib
import json

BEFORE_THE_FIRST = ""
_written = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=repr).encode
"""`default` is for what only a stranger's hand puts into a row: bytes. It makes a hash all the same, of no entry."""


def entry_hash(previous: str, *content: object) -> str:
    """Of an entry's `content`: moment, name, actor, fleet, agent and body, in this order, as its row holds them."""
    return hashlib.sha256(_written((previous, *content)).encode("utf-8", "surrogatepass")).hexdigest()
