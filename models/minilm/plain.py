"""The network of all-MiniLM-L6-v2 in numpy, to check the graph against: slow, and as it stands in the papers."""

from collections.abc import Mapping, Sequence
from math import erf

import numpy as np

LAYERS, HEADS = 6, 12
EPSILON = 1e-12

Array = np.ndarray
Weights = Mapping[str, Array]


def vector(weights: Weights, tokens: Sequence[int]) -> Array:
    x = weights["embeddings.word_embeddings.weight"][list(tokens)].astype(np.float64)
    x = x + weights["embeddings.position_embeddings.weight"][: len(tokens)]
    x = x + weights["embeddings.token_type_embeddings.weight"][0]
    x = _normal(weights, x, "embeddings.LayerNorm")
    for layer in range(LAYERS):
        x = _layer(weights, x, f"encoder.layer.{layer}")
    mean = x.mean(axis=0)
    return mean / np.linalg.norm(mean)


def _layer(weights: Weights, x: Array, name: str) -> Array:
    heard = _dense(weights, _attention(weights, x, f"{name}.attention.self"), f"{name}.attention.output.dense")
    x = _normal(weights, heard + x, f"{name}.attention.output.LayerNorm")
    inner = _gelu(_dense(weights, x, f"{name}.intermediate.dense"))
    return _normal(weights, _dense(weights, inner, f"{name}.output.dense") + x, f"{name}.output.LayerNorm")


def _attention(weights: Weights, x: Array, name: str) -> Array:
    queries, keys, values = (
        np.split(_dense(weights, x, f"{name}.{part}"), HEADS, axis=1) for part in ("query", "key", "value")
    )
    heard = [_share(q @ k.T / np.sqrt(q.shape[1])) @ v for q, k, v in zip(queries, keys, values, strict=True)]
    return np.concatenate(heard, axis=1)


def _share(scores: Array) -> Array:
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def _gelu(x: Array) -> Array:
    return x * 0.5 * (1 + np.vectorize(erf)(x / np.sqrt(2)))


def _dense(weights: Weights, x: Array, name: str) -> Array:
    return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]


def _normal(weights: Weights, x: Array, name: str) -> Array:
    centred = x - x.mean(axis=1, keepdims=True)
    scaled = centred / np.sqrt((centred**2).mean(axis=1, keepdims=True) + EPSILON)
    return scaled * weights[f"{name}.weight"] + weights[f"{name}.bias"]
