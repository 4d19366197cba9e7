"""What a sentence model made of texts is kept. It can be made again, so it is no news and no event."""

from collections.abc import Mapping

from muster.model.actor import Actor
from muster.model.embedding import Embedding
from muster.model.ids import EmbeddingId
from muster.store.records import Transaction
from muster.verbs import System, command


@command(by=System)
def keep(tx: Transaction, actor: Actor, vectors: Mapping[EmbeddingId, bytes]) -> None:
    """By their hashes; what is kept already stays."""
    for id, vector in vectors.items():
        if tx.find(Embedding, id=id) is None:
            tx.add(Embedding(id=id, vector=vector))
