import re
import tomllib

import pytest

from data.studies import IMI_PRESET, StudyConfig
from stimuli.compile_texts import LANGUAGES, TEXTS, language_defaults, study_texts


def config(**settings):
    return StudyConfig.of(
        {"study_id": "x", "n_slots": 1, "n_main_trials": 3} | settings
    )


def names(language):
    return {path.name for path in (TEXTS / language).iterdir()}


def places(text):
    return set(re.findall(r"\$\w+", text))


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_has_every_text_with_the_same_places(language):
    assert names(language) == names("en")
    for name in names("en"):
        ours, english = (
            (TEXTS / one / name).read_text(encoding="utf-8") for one in (language, "en")
        )
        assert places(ours) == places(english), name


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_pages_of_the_instructions_point_at_the_same_parts(language):
    ours, english = (
        [
            page["highlight"]
            for page in study_texts(config(language=one), 9)["instructions"]
        ]
        for one in (language, "en")
    )
    assert ours == english


@pytest.mark.parametrize("language", LANGUAGES)
def test_questions_have_the_same_right_options_in_every_language(language):
    ours, english = (
        tomllib.loads((TEXTS / one / "comprehension.toml").read_text(encoding="utf-8"))
        for one in (language, "en")
    )
    shape = [(len(one["options"]), one["right"]) for one in ours["question"]]
    assert shape == [(len(one["options"]), one["right"]) for one in english["question"]]


def test_texts_speak_the_language_of_the_study():
    texts = study_texts(config(language="de", max_practice_rounds=1), 9)
    assert "dafür haben Sie 1 Versuch." in texts["instructions"][-1]["text"]
    assert "etwa 4 Minuten" in texts["consent"]


def test_stopping_is_explained_with_the_contact():
    texts = study_texts(config(contact="Ada <ada@example.org>"), 9)
    assert "Ada <ada@example.org>" in texts["withdrawal"]


def test_english_words_are_the_defaults_of_the_settings():
    defaults = config()
    assert language_defaults("en") == {
        "title": defaults.title,
        "contact": defaults.contact,
    }


IMI_PAGES = [
    *("none", "none", "left", "queries", "question"),
    *("upper_buttons", "lower_buttons", "upper_buttons", "lower_buttons"),
    *("confidence", "frame", "verdict", "none", "none", "none"),
]
"""What the pages of IMI's instructions are about, in its order."""


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_preset_imi_has_its_fifteen_pages_and_one_more_for_synthetic_images(
    language,
):
    imi = config(**IMI_PRESET | {"language": language})
    natural = study_texts(imi, 9)["instructions"]
    assert [page["highlight"] for page in natural] == IMI_PAGES
    synthetic = study_texts(imi, 9, "synthetic")["instructions"]
    assert [one for one in synthetic if one not in natural] == [synthetic[10]]


def test_the_preset_imi_speaks_of_the_mouse_only():
    imi = config(**IMI_PRESET)
    text = " ".join(page["text"] for page in study_texts(imi, 9)["instructions"])
    assert "mouse" in text
    assert "keys" not in text


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(
    ("n_catch", "n_instructed", "kind"),
    [(1, 1, "both"), (1, 0, "catch"), (0, 1, "instructed"), (0, 0, "none")],
)
def test_the_debriefing_tells_of_the_checks_that_there_were(
    language, n_catch, n_instructed, kind
):
    words = tomllib.loads((TEXTS / language / "words.toml").read_text(encoding="utf-8"))
    told = study_texts(
        config(
            language=language,
            n_catch_trials=n_catch,
            n_instructed_trials=n_instructed,
        ),
        9,
    )["debrief"]
    others = {one for name, one in words["checks"].items() if name != kind} - {""}
    assert words["checks"][kind] in told
    assert not [one for one in others if one in told]
