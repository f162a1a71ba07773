"""Deliberately broken servers, to show that the invariants find what they are for."""


def plant(bug: str) -> None:
    raise SystemExit(bug)
