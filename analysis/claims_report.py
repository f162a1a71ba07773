"""The table of claims in words: for a terminal, as JSON, and as rows of a page."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from analysis.claims import Claim
from analysis.wording import interval, number, text_table

CLAIM_HEADER = (
    "claim",
    "source",
    "published",
    "ours",
    "95% interval",
    "tolerance",
    "verdict",
)


def claim_rows(claims: Sequence[Claim]) -> list[tuple[str, ...]]:
    """Return one row a claim, as :data:`CLAIM_HEADER` names its cells."""
    sources = claim_sources(claims)
    return [
        (
            claim.claim,
            f"[{sources.index(claim.source) + 1}]",
            precise(claim.published, claim),
            precise(claim.ours, claim),
            interval(claim.ci_low, claim.ci_high),
            f"± {claim.tolerance:g}",
            claim.verdict,
        )
        for claim in claims
    ]


def precise(value: float | None, claim: Claim) -> str:
    """Return a number with as many decimals as the published one, 3 at least."""
    if claim.tolerance == 0:
        return "–" if value is None else f"{value:,.0f}"
    if abs(claim.published) >= 100:
        return number(value, 1)
    printed = len(f"{claim.published:.6f}".rstrip("0").partition(".")[2])
    return number(value, max(printed, 3))


def claim_sources(claims: Sequence[Claim]) -> list[str]:
    """Return each source once, in the order of the claims."""
    return list(dict.fromkeys(claim.source for claim in claims))


def studies(claims: Sequence[Claim]) -> list[str]:
    """Return each study once, in the order of the claims."""
    return list(dict.fromkeys(claim.study for claim in claims))


def verdict_sentence(claims: Sequence[Claim]) -> str:
    """Return how many claims were checked and how many of these hold."""
    checked = [claim for claim in claims if claim.checkable]
    held = sum(claim.holds for claim in checked)
    said = f"{held} of {len(checked)} checkable claims reproduced"
    missing = len(claims) - len(checked)
    return said + (f"; {missing} more need data." if missing else ".")


def claim_lines(claims: Sequence[Claim]) -> list[str]:
    """Return the claims for a terminal, by study, then their sources."""
    rows = claim_rows(claims)
    # One table, so that the columns of all studies stand below each other.
    header, *lines = text_table(rows, CLAIM_HEADER)
    said: list[str] = []
    for study in studies(claims):
        own = [
            line
            for line, claim in zip(lines, claims, strict=True)
            if claim.study == study
        ]
        said += [study, header, *own, ""]
    said += [
        f"[{place}] {source}"
        for place, source in enumerate(claim_sources(claims), start=1)
    ]
    return [*said, "", verdict_sentence(claims)]


def claims_json(claims: Sequence[Claim]) -> list[dict[str, Any]]:
    """Return the claims as JSON values; null where there is no number."""
    return [
        asdict(claim) | {"verdict": claim.verdict, "checkable": claim.checkable}
        for claim in claims
    ]
