"""How near texts are in meaning to a request, by the sentence model that is installed, or not at all."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import anyio.to_thread

from muster.commands import embeddings as embedding_commands
from muster.engine import Engine
from muster.model.actor import SYSTEM
from muster.model.ids import EmbeddingId
from muster.views import embeddings as embedding_views

REMEMBERED = 20_000  # vectors of 1.5 kB that stay at hand


class Sentences(Protocol):
    """A sentence model. Vectors are 32-bit floats, little-endian, of length 1."""

    @property
    def name(self) -> str: ...

    def embed(self, texts: Sequence[str]) -> list[bytes]: ...

    def similarity(self, one: bytes, other: bytes) -> float: ...

    def key(self, text: str) -> str: ...


class Meaning:
    """`load` gives the model, or None where there is none, and is asked when the first request comes.

    What the model made of a text is kept in the store by a hash of both; requests are not kept.
    """

    def __init__(self, load: Callable[[], Sentences | None], why_absent: Callable[[], str]) -> None:
        self._load = load
        self._why_absent = why_absent
        self._asked = False
        self._model: Sentences | None = None
        self._vectors: dict[EmbeddingId, bytes] = {}

    @property
    def notes(self) -> tuple[str, ...]:
        """What whoever asks should know."""
        return () if self._model is not None else (self._why_absent(),)

    async def of(self, engine: Engine, request: str, texts: Mapping[str, str]) -> Mapping[str, float]:
        """From -1 to 1, by id. Nothing without a model."""
        if not self._asked:
            self._model, self._asked = await anyio.to_thread.run_sync(self._load), True
        if (model := self._model) is None:
            return {}
        keys = {id: EmbeddingId(model.key(text)) for id, text in texts.items()}
        await self._embed(engine, model, {keys[id]: text for id, text in texts.items()})
        (asked,) = await anyio.to_thread.run_sync(model.embed, [request])
        return {id: model.similarity(asked, self._vectors[key]) for id, key in keys.items()}

    async def _embed(self, engine: Engine, model: Sentences, texts: Mapping[EmbeddingId, str]) -> None:
        if len(self._vectors) > REMEMBERED:
            self._vectors.clear()
        missing = [key for key in texts if key not in self._vectors]
        if missing:
            kept = await engine.query(embedding_views.kept, SYSTEM, ids=missing)
            self._vectors.update(kept)
        fresh = [key for key in missing if key not in self._vectors]
        if fresh:
            made = await anyio.to_thread.run_sync(model.embed, [texts[key] for key in fresh])
            vectors = dict(zip(fresh, made, strict=True))
            await engine.execute(embedding_commands.keep, SYSTEM, vectors=vectors)
            self._vectors |= vectors
