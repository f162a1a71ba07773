"""The preset ``imi`` as a participant meets it, screen by screen."""

import re

import pytest

from tests.experiment_server.imi_walk import ImiWalk

pytestmark = pytest.mark.browser

SHORT = {
    "n_main_trials": 3,
    "n_catch_trials": 1,
    "lock_ms": 1000,
    "feedback_delay_ms": 20,
    "feedback_ms": 800,
}
MOMENTS = ["trial", "chosen", "verdict", "continue"]
ORDER = [
    "start", "consent", "fullscreen", *["instructions"] * 15, "practice",
    "practice_locked", *[f"practice_{one}" for one in MOMENTS * 2], "practice_again",
    "practice_passed", *[f"main_{one}" for one in MOMENTS], "feedback", "debrief",
    "end",
]  # fmt: skip


def look(page):
    """What stands on the screen beside its words."""
    return page.evaluate(
        """() => ({
          label: document.querySelector("header .label").textContent,
          open: document.querySelectorAll(".answer:enabled").length,
          closed: document.querySelectorAll(".answer:disabled").length,
          keys: document.querySelectorAll(".answer .key").length,
          chosen: [...document.querySelectorAll(".query.chosen")].map((one) =>
            getComputedStyle(one).backgroundColor),
          middle: document.querySelector(".trial .middle")?.innerText ?? "",
          stage: document.querySelector("#stage").innerText})"""
    )


def test_a_session_has_imis_screens_in_imis_order(browser, tmp_path):
    walk, seen = ImiWalk(browser, tmp_path, "en", **SHORT), []
    for name, page in walk.pages():
        if name == "practice_trial_0":
            page.keyboard.press("KeyQ")
        seen.append((re.sub(r"_\d+$", "", name), look(page)))
    assert [name for name, _ in seen] == ORDER
    at = dict(reversed(seen))
    assert "a mouse or a touchpad" in at["start"]["stage"]
    assert (at["practice_locked"]["open"], at["practice_locked"]["closed"]) == (0, 6)
    for kind in ("practice", "main"):
        opened = at[f"{kind}_trial"]
        assert (opened["open"], opened["keys"], opened["chosen"]) == (6, 0, [])
        assert "more confident" in opened["middle"]
        black = at[f"{kind}_chosen"]
        assert (black["chosen"], black["closed"]) == (["rgb(0, 0, 0)"], 6)
        assert at[f"{kind}_continue"]["middle"] == "Continue"
    assert at["practice_verdict"]["middle"] == "Incorrect"
    assert at["practice_verdict"]["chosen"] == ["rgb(139, 0, 0)"]
    assert at["main_verdict"]["middle"] == "Correct"
    assert at["main_verdict"]["chosen"] == ["rgb(34, 224, 107)"]
    assert "correct" not in at["practice_trial"]["label"]
    assert at["main_trial"]["label"] == "0 of 0 correct"
    assert "told you what to choose" not in at["debrief"]["stage"]
    assert walk.tables[1]["is_demo"].sum() == 10


def test_help_names_no_keys_that_give_no_answer(browser, tmp_path):
    for name, page in ImiWalk(browser, tmp_path, "en", **SHORT).pages():
        if name == "practice_trial_0":
            page.keyboard.press("?")
            keys = page.locator("dialog kbd").all_inner_texts()
            assert keys == ["Enter", "Space", "←", "→", "Tab", "?"]
            break
