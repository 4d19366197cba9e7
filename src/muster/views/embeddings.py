"""What a sentence model made of texts."""

from muster.model.actor import Actor
from muster.model.embedding import Embedding
from muster.model.ids import EmbeddingId
from muster.store.records import Reading
from muster.verbs import System, view


@view(by=System)
def kept(tx: Reading, actor: Actor, ids: list[EmbeddingId]) -> dict[EmbeddingId, bytes]:
    """Those of them that are kept."""
    return {found.id: found.vector for found in tx.select(Embedding, id=ids)}
