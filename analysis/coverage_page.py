"""The page on how often intervals hold the truth, as Markdown."""

from typing import TYPE_CHECKING

import pandas as pd

from analysis.recovery import N_RESAMPLES
from analysis.scenarios import SCENARIOS, Scenario

if TYPE_CHECKING:
    from analysis.coverage import Tables

READING = """\
*As claimed*: an interval between 93% and 97%, a test between 3% and 7%. *Claims less*:
a published or textbook method whose limits are known; it is shown beside the one that
holds. *Wider than claimed* errs on the safe side. ± is the standard error of the
simulation; *below* and *above*: the truth lies there. Why some claim less:

- The bootstrap over units, as published, takes the same people for granted.
- The F interval of the ICC takes units and answers as normal. HIS near 1 is skewed.
- The BCa bootstrap of a correlation, though expanded, misses a percent or two where
  scores are skewed: 60 units are few for its tails.
- Fisher's interval and Bonett and Wright's take both scores as normal.
- Brunner and Munzel's test asks for 10 units a group, by its authors' own word.
- The Bernoulli ceiling takes measured HIS as the true one; its spread is of answers
  to the same units, not of units.
- Variational Bayes takes units and people as independent given the answers, and so
  knows too much.

The interval of the ICC is wider than claimed (up to 98%) where HIS is hardly
reliable, below about 0.6: its signal is then near 0, where no interval is sharp."""

ESTIMATES = """\
*Recovers*: the mean over studies lies within 0.4 standard deviations of the truth.
Estimates of reliability are a little too low in small studies: they are ratios, and
units that the same people met look more alike than they are."""


def page(tables: "Tables", power: pd.DataFrame, *, command: str) -> str:
    """Return all tables as Markdown, with the command that makes them."""
    lines = [
        "# Coverage of 95% intervals",
        "",
        f"Made by `{command}` (`make coverage`).",
    ]
    for scenario in SCENARIOS:
        lines += ["", f"## Scenario: {scenario.name}", "", _described(scenario), ""]
        own = tables.coverage[tables.coverage["scenario"] == scenario.name]
        lines += _coverage_lines(own)
    lines += ["", READING, "", "# Estimates", "", ESTIMATES, ""]
    lines += _estimate_lines(tables.estimates)
    lines += [
        "",
        "# False findings of tests at 5%",
        "",
        "Three groups of units that chance alone put together.",
        "",
    ]
    lines += _rate_lines(tables.rates)
    lines += ["", "# Promises of `unitscope power`", ""]
    return "\n".join([*lines, *_power_lines(power), ""])


def _described(scenario: Scenario) -> str:
    v, d = scenario.variances, scenario.design
    return (
        f"Each study: {d.n_units} units, {d.answers_per_unit} answers each, sessions of"
        f" at most {d.main_trials} main trials ({d.n_participants} participants). HIS"
        f" {v.mean:g}; standard deviations {v.sd_unit:g} between units and"
        f" {v.sd_participant:g} between participants (log odds); groups {v.step:g}"
        f" apart; MIS correlates {v.correlation:g} with HIS that has no noise; tau"
        f" {scenario.tau:g}. Bootstraps have {N_RESAMPLES} resamples."
    )


def _coverage_lines(table: pd.DataFrame) -> list[str]:
    return [
        "| quantity | method | coverage | ± | below | above | width | studies |"
        " verdict |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
        *(
            f"| {row.quantity} | {row.method} | {row.coverage:.1%} | {row.error:.1%}"
            f" | {row.below:.1%} | {row.above:.1%} | {row.width:.3f}"
            f" | {row.n_studies} | {row.verdict} |"
            for row in table.itertuples()
        ),
    ]


def _estimate_lines(table: pd.DataFrame) -> list[str]:
    return [
        "| scenario | quantity | method | truth | mean estimate | ± | SD | studies |"
        " verdict |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
        *(
            f"| {row.scenario} | {row.quantity} | {row.method} | {row.truth:.3f}"
            f" | {row.estimate:.3f} | {row.error:.3f} | {row.sd:.3f}"
            f" | {row.n_studies} | {row.verdict} |"
            for row in table.itertuples()
        ),
    ]


def _rate_lines(table: pd.DataFrame) -> list[str]:
    return [
        "| scenario | test | false findings | ± | studies | verdict |",
        "| --- | --- | --- | --- | --- | --- |",
        *(
            f"| {row.scenario} | {row.test} | {row.rate:.1%} | {row.error:.1%}"
            f" | {row.n_studies} | {row.verdict} |"
            for row in table.itertuples()
        ),
    ]


def _power_lines(table: pd.DataFrame) -> list[str]:
    return [
        "Four searches each; fresh studies have the units that each search found.",
        "",
        "| scenario | question | goal | wanted | units | fresh studies give | ± |"
        " verdict |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
        *(
            f"| {row.scenario} | {row.question} | {row.goal} | {row.wanted:g}"
            f" | {row.n_units:.0f} | {row.fresh:.4f} | {row.error:.4f}"
            f" | {row.verdict} |"
            for row in table.itertuples()
        ),
    ]
