"""What a sentence model made of a text, kept so that it is made once."""

from dataclasses import dataclass

from muster.model.ids import EmbeddingId


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedding:
    """`id` is a hash of the model and the text; `vector` is 32-bit floats, little-endian, of length 1 together."""

    id: EmbeddingId
    vector: bytes
