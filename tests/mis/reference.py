"""The score as the MIS paper writes it: loops, float64, one unit at a time."""

import math
from collections.abc import Callable, Sequence

import numpy as np

Similarity = Callable[[int, int], float]


def cosine(features: np.ndarray) -> Similarity:
    """Return f(x, y), the cosine of two images' features."""

    def similarity(x: int, y: int) -> float:
        a = [float(value) for value in features[x]]
        b = [float(value) for value in features[y]]
        dot = sum(left * right for left, right in zip(a, b, strict=True))
        norm_a = math.sqrt(sum(value * value for value in a))
        norm_b = math.sqrt(sum(value * value for value in b))
        return dot / (norm_a * norm_b)

    return similarity


def set_similarity(f: Similarity, query: int, explanations: Sequence[int]) -> float:
    """Return s(q, E): the mean of f(q, e) over the explanations e."""
    total = 0.0
    for explanation in explanations:
        total += f(query, explanation)
    return total / len(explanations)


def margin(f: Similarity, queries: Sequence[int], explanations: Sequence) -> float:
    """Return Δ₊ − Δ₋ of one task."""
    positive, negative = queries
    delta_plus = set_similarity(f, positive, explanations[0]) - set_similarity(
        f, positive, explanations[1]
    )
    delta_minus = set_similarity(f, negative, explanations[0]) - set_similarity(
        f, negative, explanations[1]
    )
    return delta_plus - delta_minus


def probability(delta: float, tau: float) -> float:
    """Return the probability of the right choice: a sigmoid of Δ₊ − Δ₋."""
    return 1 / (1 + math.exp(-delta / tau))


def unit_score(f: Similarity, queries, explanations, tau: float) -> float:
    """Return MIS: the mean probability over a unit's tasks."""
    total = 0.0
    for number in range(len(queries)):
        task = margin(f, queries[number], explanations[number])
        total += probability(task, tau)
    return total / len(queries)
