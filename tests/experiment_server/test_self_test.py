"""The experimenter's self-test of a browser."""

import json

import pytest

from data.studies import read_study
from tests.experiment_server.tour import LANGUAGES, make_tour_study
from tests.experiment_server.visitor import running_site

pytestmark = pytest.mark.browser

FINDINGS = ["window", "clock", "storage", "connection", "screen", "decoding", "onset"]


@pytest.fixture(scope="module")
def site(toy_folder, tmp_path_factory):
    with running_site(
        read_study(toy_folder), tmp_path_factory.mktemp("site")
    ) as running:
        yield running


@pytest.fixture
def tested(browser, site):
    """Run the self-test in a browser that was changed by a script before."""
    contexts = []

    def run(script="", *, size=(1280, 720)):
        viewport = {"width": size[0], "height": size[1]}
        contexts.append(browser.new_context(viewport=viewport))
        page = contexts[-1].new_page()
        page.set_default_timeout(60_000)
        page.add_init_script(script)
        page.goto(f"{site.address}self-test")
        page.wait_for_selector("main[data-ready]")
        found = page.eval_on_selector_all(
            "[data-finding]",
            "(all) => all.map((one) => [one.dataset.finding, one.dataset.verdict])",
        )
        return page, dict(found)

    yield run
    for context in contexts:
        context.close()


def test_every_finding_has_a_verdict_and_stands_in_the_report(tested):
    page, found = tested()
    assert list(found) == FINDINGS
    assert set(found.values()) <= {"good", "fair", "bad"}
    report = json.loads(page.input_value("textarea"))
    assert [one["name"] for one in report["found"]] == FINDINGS
    assert "Chrom" in report["browser"]
    (onset,) = [one for one in report["found"] if one["name"] == "onset"]
    assert onset["values"]["n"] == 20
    methods = {one["method"] for one in onset["values"]["trials"]}
    assert methods == {"next_frame+element_timing"}


def test_the_page_has_the_browsers_finest_clock(tested):
    page, found = tested()
    assert page.evaluate("window.crossOriginIsolated")
    report = json.loads(page.input_value("textarea"))
    (clock,) = [one for one in report["found"] if one["name"] == "clock"]
    assert clock["values"]["step_ms"] < 0.05
    assert found["clock"] == "good"


def test_no_session_is_started(tested, site):
    page, _ = tested()
    assert site.sessions() == []
    assert page.query_selector("[data-action=start]") is None


def test_a_small_window_denied_storage_and_missing_reports_are_told(tested):
    script = """
      Object.defineProperty(window, "localStorage", { get() { throw new Error(); } });
      Object.defineProperty(window, "indexedDB", { value: null });
      Object.defineProperty(PerformanceObserver, "supportedEntryTypes", { value: [] });
    """
    _, found = tested(script, size=(800, 500))
    assert found["window"] == "bad"
    assert found["storage"] == "bad"
    assert found["onset"] == "fair"


@pytest.mark.parametrize("language", LANGUAGES)
def test_it_speaks_the_language_of_the_study(browser, tmp_path, language):
    title, good = {"en": ("Self-test", "Good"), "de": ("Selbsttest", "Gut")}[language]
    with running_site(make_tour_study(tmp_path / "study", language), tmp_path) as site:
        page = browser.new_page()
        page.goto(f"{site.address}self-test")
        page.wait_for_selector("main[data-ready]", timeout=60_000)
        assert page.inner_text("h1") == title
        assert page.title().startswith(f"{title}: ")
        assert page.get_attribute("html", "lang") == language
        assert page.inner_text("[data-finding=storage] .mark") == good
        page.close()
