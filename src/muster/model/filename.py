"""A file's name as text, whatever bytes it has.

Names that are UTF-8 without a backslash stand as they are. Other bytes are written `\\xff`, and a backslash twice: so
that every name can be told in JSON, kept in a row, and found again.
"""

import re

ESCAPED = re.compile(r"\\\\|\\x([0-9a-f]{2})")


def told(name: bytes) -> str:
    return name.replace(b"\\", b"\\\\").decode(errors="backslashreplace")


def raw(name: str) -> bytes:
    """What `told` was given. Raises ValueError where it cannot have written that."""
    found = b""
    at = 0
    while (slash := name.find("\\", at)) >= 0:
        escape = ESCAPED.match(name, slash)
        if escape is None:
            raise ValueError(f"no name that was told: {name!r}")
        found += name[at:slash].encode() + (bytes.fromhex(escape[1]) if escape[1] else b"\\")
        at = escape.end()
    return found + name[at:].encode()
