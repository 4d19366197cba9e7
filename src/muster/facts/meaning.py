"""How near profiles are to a request in what they mean, by the sentence model that is installed, or not at all."""

from collections.abc import Callable, Mapping, Sequence

import anyio.to_thread

from muster.commands import embeddings as embedding_commands
from muster.engine import Engine
from muster.model.actor import SYSTEM
from muster.model.ids import EmbeddingId
from muster.routing.scoring import Profile
from muster.routing.semantic import Sentences, similarity, text_hash
from muster.views import embeddings as embedding_views

REMEMBERED = 50_000  # vectors of 1.5 kB that stay at hand


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

    async def of(self, engine: Engine, request: str, profiles: Sequence[Profile]) -> Mapping[str, float]:
        """From -1 to 1, by a profile's id. Nothing without a model."""
        if not self._asked:
            self._model, self._asked = await anyio.to_thread.run_sync(self._load), True
        if (model := self._model) is None:
            return {}
        texts = {text for one in profiles for text in (one.line, *one.skills, *one.paragraphs)}
        keys = {text: EmbeddingId(text_hash(model.name, text)) for text in texts}
        await self._embed(engine, model, keys)
        return await anyio.to_thread.run_sync(self._compare, model, request, profiles, keys)

    async def _embed(self, engine: Engine, model: Sentences, keys: Mapping[str, EmbeddingId]) -> None:
        if len(self._vectors) > REMEMBERED:
            self._vectors.clear()
        missing = [key for key in keys.values() if key not in self._vectors]
        if missing:
            kept = await engine.query(embedding_views.kept, SYSTEM, ids=missing)
            self._vectors.update(kept)
        fresh = {key: text for text, key in keys.items() if key not in self._vectors}
        if fresh:
            made = await anyio.to_thread.run_sync(model.embed, list(fresh.values()))
            vectors = dict(zip(fresh, made, strict=True))
            await engine.execute(embedding_commands.keep, SYSTEM, vectors=vectors)
            self._vectors |= vectors

    def _compare(
        self, model: Sentences, request: str, profiles: Sequence[Profile], keys: Mapping[str, EmbeddingId]
    ) -> Mapping[str, float]:
        (asked,) = model.embed([request])
        near = {text: similarity(asked, self._vectors[key]) for text, key in keys.items()}
        return {one.id: one.nearness(near.__getitem__) for one in profiles}
