"""What was sent as numbers, channel by channel, without a look at the pictures."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.attacker.traffic import Seen
from data.atlases import index_atlas, jpeg_segments
from data.images import DISPLAY_SIDE
from data.studies import ATLAS_COLUMNS

Clues = dict[str, float]

_HUFFMAN_TABLES = 0xC4
_CHANGES_BY_ITSELF = {"date", "content-length"}
_N_ENDS = 24


def size(one: Seen) -> Clues:
    """Count the bytes of the image and of the state."""
    lengths = dict(one.image_headers).get("content-length", "0")
    return {
        "image": len(one.image),
        "image, as told": float(lengths),
        # Numbers in it have more digits as the session goes on.
        "state": len(one.state),
    }


def headers(one: Seen) -> Clues:
    """Return every header by name, value and place."""
    found: Clues = {}
    for reply, given in (("state", one.state_headers), ("image", one.image_headers)):
        found[f"{reply}: number"] = len(given)
        for place, (name, value) in enumerate(given):
            told = "" if name.lower() in _CHANGES_BY_ITSELF else value
            found[f"{reply}: {place} {name}: {told}"] = 1.0
    return found


def names(one: Seen) -> Clues:
    """Return the letters of the image's name and of those announced, as numbers."""
    told = one.told
    found: Clues = {}
    for place, url in enumerate([told["trial"]["image"], *told["ahead"][1:]]):
        name = url.rsplit("/", 1)[1]
        letters = [ord(letter) for letter in name[:_N_ENDS]]
        found |= {f"{place}: letter {at}": one for at, one in enumerate(letters)}
        found[f"{place}: length"] = len(name)
        found[f"{place}: sum"] = sum(letters)
    return found


def order(one: Seen) -> Clues:
    """Return which cell of the atlas is drawn at which place."""
    trial = one.told["trial"]
    places = {name: [_cell(trial[name])] for name in ("upper", "lower")}
    places |= {name: [_cell(at) for at in trial[name]] for name in ("left", "right")}
    found: Clues = {}
    for name, cells in places.items():
        found |= {f"{name} {rank}": cell for rank, cell in enumerate(cells)}
    return found | _compared({name: _mean(cells) for name, cells in places.items()})


def fields(one: Seen) -> Clues:
    """Return every other number, flag and word of the state."""
    told = one.told
    del told["ahead"]
    for trial in (told["trial"], *told["upcoming"]):
        for name in ("image", "upper", "lower", "left", "right"):
            del trial[name]
    found = dict(_flat(told, ""))
    found["sequence is odd"] = told["trial"]["sequence"] % 2
    return found


def coding(one: Seen) -> Clues:
    """Return the order and lengths of the JPEG's segments and its Huffman tables."""
    segments = jpeg_segments(one.image, "An image")
    found: Clues = {"scan": len(one.image) - segments[-1][2]}
    n_tables = 0
    for place, (marker, payload, _) in enumerate(segments):
        found[f"{place}: {marker:02x}"] = len(payload)
        if marker == _HUFFMAN_TABLES:
            n_tables += 1
            counts = payload[1:17]
            found |= {f"table {n_tables}: {at}": n for at, n in enumerate(counts)}
    return found


def code(one: Seen) -> Clues:
    """Count the coded bytes of each picture, which photographs speak through."""
    trial, index = one.told["trial"], index_atlas(one.image, "An image")

    def n_bytes(at: Sequence[int]) -> float:
        cell = _cell(at)
        return sum(len(index.strip(one.image, own)) for own in index.strips(cell))

    sides = {name: [n_bytes(at) for at in trial[name]] for name in ("left", "right")}
    means = {name: n_bytes(trial[name]) for name in ("upper", "lower")}
    means |= {name: _mean(own) for name, own in sides.items()}
    return means | _compared(means)


def timing(one: Seen) -> Clues:
    """Return how long the server took, in ms."""
    names = ("answer before", "state", "image")
    return dict(zip(names, one.times_ms, strict=True))


CHANNELS: dict[str, Callable[[Seen], Clues]] = {
    "size": size,
    "headers": headers,
    "names": names,
    "order": order,
    "fields": fields,
    "coding": coding,
    "code": code,
    "timing": timing,
}
"""Name to what is looked at; all of them together are the attack."""


def table(clues: Sequence[Mapping[str, float]]) -> NDArray[np.float64]:
    """Return one row a trial and one column a clue that is not always the same."""
    columns = sorted({name for one in clues for name in one})
    rows = [[one.get(name, 0.0) for name in columns] for one in clues]
    values = np.array(rows, dtype=float).reshape(len(clues), len(columns))
    return values[:, np.ptp(values, axis=0) > 0]


def _cell(at: Sequence[int]) -> int:
    left, top = at
    return top // DISPLAY_SIDE * ATLAS_COLUMNS + left // DISPLAY_SIDE


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if len(values) else 0.0


def _compared(of: Mapping[str, float]) -> Clues:
    """Compare the queries, the sides, and both: the pair that belongs together."""
    queries, sides = of["upper"] - of["lower"], of["left"] - of["right"]
    return {
        "queries": queries,
        "sides": sides,
        "both": float(np.sign(queries) * np.sign(sides)),
    }


def _flat(value: Any, name: str) -> Iterator[tuple[str, float]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _flat(inner, f"{name}.{key}")
    elif isinstance(value, list):
        yield f"{name}: number", len(value)
        for place, inner in enumerate(value):
            yield from _flat(inner, f"{name}.{place}")
    elif isinstance(value, str):
        for word in set(re.findall(r"\w+", value)):
            yield f"{name} = {word}", 1.0
    else:
        yield name, -1.0 if value is None else float(value)
