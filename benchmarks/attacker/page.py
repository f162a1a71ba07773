"""What a page in a real browser holds before each answer: markup, layout, state."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from benchmarks.attacker.clues import Clues
from tests.experiment_server.visitor import Site, Visitor

LOOK = """async () => {
  const box = (one) => { const {x, y, width, height} = one.getBoundingClientRect();
                         return [x, y, width, height]; };
  const elements = [...document.querySelectorAll("*")].map((one) => ({
    tag: one.localName, box: box(one),
    attributes: Object.fromEntries([...one.attributes].map((a) => [a.name, a.value])),
    own: Object.keys(one),
  }));
  const kept = {};
  for (const {name, version} of await indexedDB.databases()) {
    const base = await new Promise((resolve, reject) => {
      const request = indexedDB.open(name, version);
      request.onsuccess = () => resolve(request.result);
      request.onerror = () => reject(request.error);
    });
    for (const store of base.objectStoreNames) {
      kept[store] = await new Promise((resolve) => {
        const request = base.transaction(store).objectStore(store).getAll();
        request.onsuccess = () => resolve(request.result);
      });
    }
    base.close();
  }
  const images = performance.getEntriesByType("resource")
    .filter(({name}) => name.includes("/api/images/")).slice(-3);
  return {
    elements, kept,
    local: {...localStorage}, session: {...sessionStorage}, history: history.state,
    cookie: document.cookie, title: document.title, address: location.href,
    globals: Object.keys(globalThis).sort(),
    fetched: images.map((one) => ({
      took: one.responseEnd - one.startTime,
      waited: one.responseStart - one.requestStart,
      sent: one.transferSize,
      encoded: one.encodedBodySize,
      decoded: one.decodedBodySize,
    })),
    n_fetched: performance.getEntriesByType("resource").length,
  };
}"""
"""Everything that a script on the page, or who opens the tools, can get at."""

PLANT = "(told) => document.querySelector('.trial').setAttribute('data-t', told)"

_RANDOM = ("src", "id")
"""Attributes with addresses made anew for every picture."""


@dataclass(frozen=True)
class SeenPage:
    """What a page held before an answer, and whether the upper row was right."""

    session: int
    held: dict[str, Any]
    requests: tuple[str, ...]
    upper_is_right: bool


def looked_at(
    visitor: Visitor, number: int, *, n_trials: int
) -> Iterator[tuple[SeenPage, SeenPage]]:
    """Answer so many trials; before each, write down what the page holds, twice.

    The second time an attribute of the trial's markup tells: a leak that is planted.

    Parameters
    ----------
    visitor : Visitor
        In a trial.
    number : int
        Of the session.
    """
    site: Site = visitor.site
    n_before = 0
    for turn in range(n_trials):
        sequence = visitor.sequence()
        upper_is_right = site.correct_row(sequence) == "upper"
        held = visitor.page.evaluate(LOOK)
        made = tuple(visitor.requests[n_before:])
        n_before = len(visitor.requests)
        visitor.page.evaluate(PLANT, str(int(upper_is_right)))
        leaking = visitor.page.evaluate(LOOK)
        yield (
            SeenPage(number, held, made, upper_is_right),
            SeenPage(number, leaking, made, upper_is_right),
        )
        visitor.answer(("upper", "lower")[turn % 2])
        visitor.wait_until_gone(sequence)


def markup(one: SeenPage) -> Clues:
    """Return every element with its attributes and box; style has atlas places."""
    found: Clues = {"elements": len(one.held["elements"])}
    for number, element in enumerate(one.held["elements"]):
        name = f"{number} {element['tag']}"
        found |= {f"{name} box {at}": edge for at, edge in enumerate(element["box"])}
        found[f"{name} own"] = len(element["own"])
        for key, value in element["attributes"].items():
            if key in _RANDOM:
                found[f"{name} {key} length"] = len(value)
            elif key != "style":
                found[f"{name} {key}={value}"] = 1.0
    return found


def script_state(one: SeenPage) -> Clues:
    """Return globals, storage, title and address."""
    held = one.held
    found: Clues = {f"global {name}": 1.0 for name in held["globals"]}
    for place in ("kept", "local", "session", "history"):
        words = json.dumps(held[place], sort_keys=True)
        found[f"{place} length"] = len(words)
        found |= dict(_numbers(held[place], place))
    for name in ("cookie", "title", "address"):
        found[f"{name} {held[name]}"] = 1.0
    return found


def network(one: SeenPage) -> Clues:
    """Return what was requested in which order, its size and how long it took."""
    found: Clues = {"requests": len(one.requests), "all": one.held["n_fetched"]}
    for place, url in enumerate(one.requests):
        kind = "image" if "/api/images/" in url else url.rsplit("/", 1)[1]
        found[f"{place} {kind}"] = 1.0
    for place, entry in enumerate(one.held["fetched"]):
        found |= {f"image {place} {name}": value for name, value in entry.items()}
    return found


PAGE_CHANNELS = {"markup": markup, "script state": script_state, "network": network}


def _numbers(value: Any, name: str) -> Iterator[tuple[str, float]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _numbers(inner, f"{name}.{key}")
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            yield from _numbers(inner, f"{name}.{place}")
    elif isinstance(value, int | float):
        yield name, float(value)
