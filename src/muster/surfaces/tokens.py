"""Tokens: an HMAC of who it is for, under a key that only this state folder holds.

Nothing is stored per token: it is good after a restart, and void once its generation has moved or its bearer ended.
"""

import hmac
import os
import secrets
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from muster.errors import KeyDamaged, Unauthenticated
from muster.model.actor import ActorKind
from muster.model.ids import AgentId, ServerId

HUB = "hub"
KEY_BYTES = 32
REMEMBERED = 1024  # genuine tokens, for each request shows one; what is no token is remembered nowhere
BEARERS = frozenset({ActorKind.OPERATOR, ActorKind.AGENT, ActorKind.SERVER})


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """Whom a genuine token was made for."""

    kind: ActorKind
    id: str
    generation: int


class Keyring:
    def __init__(self, key: bytes) -> None:
        self._key = key
        self._known = lru_cache(REMEMBERED)(self._checked)

    @classmethod
    def at(cls, file: Path) -> "Keyring":
        """The key in a file (0600); made where there is none. Raises KeyDamaged."""
        if not file.exists():
            _make_key(file)
        key = file.read_bytes()
        if len(key) != KEY_BYTES:
            raise KeyDamaged(path=str(file), expected=KEY_BYTES)
        return cls(key)

    def operator(self) -> str:
        return self._token(ActorKind.OPERATOR, HUB, 0)

    def agent(self, agent: AgentId) -> str:
        return self._token(ActorKind.AGENT, agent, 0)

    def server(self, server: ServerId, generation: int) -> str:
        return self._token(ActorKind.SERVER, server, generation)

    def password(self, server: ServerId, generation: int) -> str:
        """What a host server asks of whoever speaks to it; of another kind than every token."""
        return self._mac(f"password.{server}.{generation}")

    def read(self, token: str) -> Claim:
        """Raises Unauthenticated for anything that this key did not make."""
        return self._known(token)

    def _checked(self, token: str) -> Claim:
        subject, _, mac = token.rpartition(".")
        if not hmac.compare_digest(self._mac(subject).encode(), mac.encode()):
            raise Unauthenticated(why="it is not one of this hub's")
        kind, _, rest = subject.partition(".")
        if kind not in BEARERS:
            raise Unauthenticated(why="a host server's password is no token")
        id, _, generation = rest.rpartition(".")
        return Claim(kind=ActorKind(kind), id=id, generation=int(generation))

    def _token(self, kind: ActorKind, id: str, generation: int) -> str:
        subject = f"{kind}.{id}.{generation}"
        return f"{subject}.{self._mac(subject)}"

    def _mac(self, subject: str) -> str:
        return hmac.digest(self._key, subject.encode(), "sha256").hex()


def _make_key(file: Path) -> None:
    """Whole or not at all: under half a key, or none, anybody could sign."""
    draft = file.with_name(f"{file.name}.new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as opened:
        opened.write(secrets.token_bytes(KEY_BYTES))
    draft.replace(file)
