"""Nothing is lost and nothing comes twice, whatever happens to the page."""

import json
from contextlib import contextmanager
from datetime import timedelta
from uuid import uuid4

import pytest
from sqlalchemy import select

from data.studies import read_study
from experiment_server.tables import InteractionRecord
from tests.experiment_server.tour import Clock
from tests.experiment_server.toy_study import make_toy_study
from tests.experiment_server.visitor import Visitor, running_site

pytestmark = pytest.mark.browser

SETTINGS = {
    "lock_ms": 20,
    "feedback_delay_ms": 10,
    "feedback_ms": 10,
    "n_obvious_practice": 1,
    "n_less_obvious_practice": 1,
    "n_slots": 3,
    "break_every": 3,
}
N_PRACTICE = 2
NO_INDEXED_DB = """indexedDB.open = () => { throw new DOMException("denied"); };"""
HANGING_INDEXED_DB = """indexedDB.open = () => ({});"""
FULL_INDEXED_DB = """
  const put = IDBObjectStore.prototype.put;
  IDBObjectStore.prototype.put = function (value, key) {
    if (String(key).startsWith("answer")) throw new DOMException("QuotaExceededError");
    return put.call(this, value, key);
  };"""
NO_LOCAL_STORAGE = """
  Object.defineProperty(window, "localStorage",
    {get() { throw new DOMException("denied"); }});"""


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("session") / "study"
    return read_study(make_toy_study(folder, **SETTINGS))


def sequences(site):
    return [one.trial_index for one in site.answers()]


@contextmanager
def failing(visitor, path, respond):
    """Let requests of a path meet ``respond``; counts them."""
    calls = []

    def react(route):
        calls.append(route.request.post_data_json)
        respond(route)

    visitor.page.route(path, react)
    yield calls
    visitor.page.unroute(path)


ANSWERS = "**/api/session/answers"


def test_opening_the_page_starts_nothing(site, visit):
    visitor = visit()
    visitor.open()
    visitor.wait_for("start")
    visitor.reload()
    visitor.wait_for("start")
    assert site.sessions() == []


def test_a_reload_comes_back_to_the_same_screen(visit):
    visitor = visit()
    visitor.open()
    visitor.press("start")

    def stays(screen):
        visitor.wait_for(screen)
        visitor.reload()
        visitor.wait_for(screen)

    stays("consent")
    visitor.press("agree")
    stays("instructions")
    visitor.read_instructions()
    stays("practice")
    visitor.press("continue")
    visitor.practise()
    stays("practice_passed")
    visitor.press("continue")
    for _ in range(3):
        sequence = visitor.sequence()
        visitor.answer("upper")
        visitor.wait_until_gone(sequence)
    stays("break")
    visitor.press("continue")
    for _ in range(5):
        sequence = visitor.sequence()
        visitor.answer("upper")
        visitor.wait_until_gone(sequence)
        if sequence == N_PRACTICE + 5:
            visitor.press("continue")
    stays("feedback")
    visitor.press("continue")
    stays("debrief")
    visitor.press("finish")
    stays("end")


def test_a_trial_that_a_reload_interrupts_is_shown_again_and_marked(site, visit):
    visitor = visit()
    visitor.pass_practice()
    sequence = visitor.sequence()
    visitor.reload()
    assert visitor.sequence() == sequence
    visitor.answer("upper")
    visitor.wait_until_gone(sequence)
    following = visitor.sequence()
    visitor.answer("upper")
    visitor.wait_until_gone(following)
    visitor.sequence()
    interrupted = {one.trial_index: one.interrupted for one in site.answers()}
    assert interrupted[sequence]
    assert not interrupted[following]


def test_an_answer_given_offline_is_kept_shown_as_kept_and_stored_once(site, visit):
    visitor = visit()
    visitor.pass_practice()
    sequence = visitor.sequence()
    n_before = len(site.answers())
    visitor.context.set_offline(True)
    visitor.answer("lower", 3)
    visitor.page.wait_for_selector("[data-notice=answers]")
    assert len(site.answers()) == n_before
    visitor.context.set_offline(False)
    visitor.wait_until_gone(sequence)
    assert visitor.sequence() == sequence + 1
    visitor.page.wait_for_selector("[data-notice]", state="hidden")
    assert len(site.answers()) == n_before + 1
    visitor.forgive("ERR_INT")


def test_an_answer_that_a_reload_overtakes_is_sent_after_it(site, visit):
    visitor = visit()
    visitor.pass_practice()
    sequence = visitor.sequence()
    visitor.page.route("**/api/session/answers", lambda route: route.abort())
    visitor.answer("lower", 3)
    visitor.page.wait_for_selector("[data-notice=answers]")
    visitor.page.unroute("**/api/session/answers")
    visitor.reload()
    assert visitor.sequence() == sequence + 1
    assert site.answers()[-1].trial_index == sequence
    assert site.answers()[-1].confidence == 3
    visitor.forgive("ERR_FAILED")


def test_an_answer_whose_acknowledgement_is_lost_is_stored_once(site, visit):
    visitor = visit()
    visitor.pass_practice()
    sequence = visitor.sequence()
    lost = []

    def lose_first_reply(route):
        if lost:
            route.continue_()
        else:
            lost.append(route.fetch().status)
            route.abort()

    visitor.page.route("**/api/session/answers", lose_first_reply)
    visitor.answer("lower")
    visitor.wait_until_gone(sequence)
    assert visitor.sequence() == sequence + 1
    assert lost == [201]
    assert [one.trial_index for one in site.answers()] == list(range(sequence + 1))
    visitor.forgive("ERR_FAILED")


def test_who_does_not_agree_is_let_go(site, visit):
    visitor = visit()
    visitor.open()
    visitor.press("start")
    visitor.press("decline")
    visitor.wait_for("declined")
    assert site.sessions()[0].status == "declined"


@pytest.mark.parametrize(("choice", "n_kept"), [("keep", N_PRACTICE), ("delete", 0)])
def test_one_can_stop_at_any_time(site, visit, choice, n_kept):
    visitor = visit()
    visitor.pass_practice()
    visitor.sequence()
    visitor.press("stop")
    visitor.page.keyboard.press("KeyQ")
    visitor.press(choice)
    visitor.wait_for("withdrawn")
    assert site.sessions()[0].status == "withdrawn"
    assert len(site.answers()) == n_kept


def test_a_full_study_says_so(site, visit):
    for number in range(3):
        visit().begin(f"participant={number}")
    visitor = visit()
    visitor.open("participant=late")
    visitor.press("start")
    visitor.page.wait_for_selector("text=The study is complete")
    assert len(site.sessions()) == 3
    visitor.forgive("409")


def test_focus_that_is_lost_in_a_trial_is_counted(site, visit):
    visitor = visit()
    visitor.pass_practice()
    visitor.sequence()
    with visitor.page.expect_response("**/api/session/events"):
        visitor.page.evaluate("dispatchEvent(new Event('blur'))")
    assert site.sessions()[0].n_focus_losses == 1


@pytest.mark.parametrize("name", ["participant", "PROLIFIC_PID", "workerId"])
def test_a_link_that_names_the_participant_comes_back_to_the_session(site, visit, name):
    visit().begin(f"{name}=P7")
    elsewhere = visit()
    elsewhere.open(f"{name}=P7")
    elsewhere.press("start")
    elsewhere.wait_for("instructions")
    assert len(site.sessions()) == 1


def test_another_participant_in_the_same_browser_gets_a_session_of_their_own(
    site, visit
):
    visitor = visit()
    visitor.begin("participant=one")
    visitor.open("participant=two")
    visitor.press("start")
    visitor.wait_for("consent")
    assert len(site.sessions()) == 2


TROUBLES = {
    "nothing": lambda route: route.abort(),
    "a proxy's page": lambda route: route.fulfill(
        status=502, content_type="text/html", body="<h1>Bad gateway</h1>"
    ),
    "a portal's page": lambda route: route.fulfill(
        status=200, content_type="text/html", body="<h1>Please log in</h1>"
    ),
    "a filter's refusal": lambda route: route.fulfill(
        status=403, content_type="text/html", body="<h1>Blocked</h1>"
    ),
    "a busy database": lambda route: route.fulfill(
        status=503, json={"error": "database-busy", "detail": "x"}
    ),
    "a full disk": lambda route: route.fulfill(
        status=507, json={"error": "server-error", "detail": "x"}
    ),
    "a failing server": lambda route: route.fulfill(
        status=500, json={"error": "server-error", "detail": "x"}
    ),
}


@pytest.mark.parametrize("trouble", TROUBLES)
def test_answers_outlast(site, visit, trouble):
    visitor = visit()
    visitor.pass_practice()
    n_before = len(site.answers())
    with failing(visitor, ANSWERS, TROUBLES[trouble]) as calls:
        first = visitor.sequence()
        visitor.answer("upper", 3)
        visitor.wait_until_gone(first)
        visitor.sequence()
        visitor.answer("lower", 1)
        visitor.page.wait_for_selector("[data-notice=answers][data-waiting='2']")
        assert len(site.answers()) == n_before
    visitor.page.wait_for_selector("[data-notice]", state="hidden")
    assert visitor.sequence() == first + 2
    assert sequences(site) == list(range(first + 2))
    assert [one.confidence for one in site.answers()][-2:] == [3, 1]
    assert len({call["idempotency_key"] for call in calls}) == 1
    visitor.forgive("ERR_FAILED", "status of")


def test_the_page_goes_on_until_three_answers_wait_and_then_stops(site, visit):
    visitor = visit()
    visitor.pass_practice()
    # The example, two practice trials, and three of the block.
    visitor.wait_for_images(6)
    visitor.context.set_offline(True)
    for number in range(3):
        sequence = visitor.sequence()
        visitor.answer("upper")
        visitor.page.wait_for_selector(f"[data-waiting='{number + 1}']")
        if number < 2:
            visitor.wait_until_gone(sequence)
    assert "3 answers are kept" in visitor.page.inner_text("[data-notice]")
    visitor.page.keyboard.press("KeyQ")
    visitor.page.wait_for_timeout(300)
    assert visitor.page.get_attribute("[data-sequence]", "data-sequence") == "4"
    visitor.context.set_offline(False)
    visitor.wait_for("break")
    assert sequences(site) == list(range(N_PRACTICE + 3))
    visitor.forgive("ERR_INTERNET")


def test_the_next_trial_does_not_wait_for_the_acknowledgement(site, visit):
    visitor = visit()
    visitor.pass_practice()
    held = []
    visitor.page.route(ANSWERS, lambda route: held.append(route))
    sequence = visitor.sequence()
    visitor.answer("upper")
    visitor.wait_until_gone(sequence)
    assert visitor.sequence() == sequence + 1
    assert len(held) == 1
    assert sequence not in sequences(site)
    held[0].continue_()


def test_answers_that_wait_when_the_page_is_loaded_anew_are_sent_first(site, visit):
    visitor = visit()
    visitor.pass_practice()
    with failing(visitor, ANSWERS, lambda route: route.abort()):
        for _ in range(2):
            sequence = visitor.sequence()
            visitor.answer("lower", 3)
            visitor.wait_until_gone(sequence)
        visitor.sequence()
    visitor.page.route(ANSWERS, lambda route: route.abort())
    visitor.page.goto("about:blank")
    visitor.page.unroute(ANSWERS)
    visitor.open()
    assert visitor.sequence() == sequence + 1
    assert sequences(site) == list(range(sequence + 1))
    assert [one.interrupted for one in site.answers()][-2:] == [False, False]
    visitor.forgive("ERR_FAILED")


def test_leaving_the_page_sends_what_waits(site, visit):
    visitor = visit()
    visitor.pass_practice()
    sequence = visitor.sequence()
    held = []

    def hold_the_first(route):
        if held:
            route.continue_()
        else:
            held.append(route)

    # It stays until the end: Chromium sends what is held once nobody holds it.
    visitor.page.route(ANSWERS, hold_the_first)
    visitor.answer("upper")
    visitor.wait_until_gone(sequence)
    visitor.sequence()
    assert sequences(site)[-1] == sequence - 1
    # Sooner than the page would give the held one up and try again.
    with visitor.page.expect_response(ANSWERS, timeout=10_000):
        visitor.page.evaluate("dispatchEvent(new PageTransitionEvent('pagehide'))")
    assert sequences(site)[-1] == sequence


def test_a_blocked_server_is_explained_after_a_while(visit):
    visitor = visit()
    visitor.begin()
    visitor.page.route("**/api/session/instructions", lambda route: route.abort())
    visitor.page.clock.install()
    for _ in range(2):
        visitor.press("next")
    for _ in range(6):
        visitor.page.clock.run_for(9000)
        visitor.page.wait_for_timeout(50)
    assert "ad blocker" in visitor.page.inner_text("[data-notice]")
    visitor.forgive("ERR_FAILED")


@pytest.mark.parametrize(
    "denied",
    [
        NO_INDEXED_DB,
        HANGING_INDEXED_DB,
        FULL_INDEXED_DB,
        NO_INDEXED_DB + NO_LOCAL_STORAGE,
    ],
    ids=["no IndexedDB", "it hangs", "it is full", "no storage at all"],
)
def test_a_reload_goes_on_where_storage_is_denied(site, visit, denied):
    visitor = visit()
    visitor.context.add_init_script(denied)
    visitor.begin("observer=table")
    visitor.read_instructions()
    visitor.press("continue")
    visitor.practise()
    visitor.press("continue")
    sequence = visitor.sequence()
    visitor.answer("upper")
    visitor.wait_until_gone(sequence)
    visitor.sequence()
    visitor.reload()
    assert visitor.sequence() == sequence + 1
    assert len(site.sessions()) == 1


def test_a_start_whose_reply_is_lost_starts_one_session(site, visit):
    visitor = visit()
    lost = []

    def lose_first(route):
        if lost:
            route.continue_()
        else:
            lost.append(route.fetch().status)
            route.abort()

    with failing(visitor, "**/api/sessions", lose_first) as calls:
        visitor.open("observer=table")
        visitor.press("start")
        visitor.wait_for("consent")
    assert lost == [201]
    assert len(calls) == 2
    assert len(site.sessions()) == 1
    visitor.forgive("ERR_FAILED")


def test_a_start_that_a_reload_overtakes_starts_one_session(site, visit):
    visitor = visit()

    def lose(route):
        route.fetch()
        route.abort()

    with failing(visitor, "**/api/sessions", lose):
        visitor.open("observer=table")
        visitor.press("start")
        visitor.page.wait_for_selector("[data-notice=answers]")
    visitor.reload()
    visitor.press("start")
    visitor.wait_for("consent")
    assert len(site.sessions()) == 1
    visitor.forgive("ERR_FAILED")


def test_no_code_is_shown_before_the_server_has_acknowledged_the_end(site, visit):
    visitor = visit()
    visitor.pass_practice()
    visitor.answer_block()
    visitor.press("continue")
    visitor.wait_for("debrief")
    with failing(visitor, "**/api/session/finish", lambda route: route.abort()):
        visitor.press("finish")
        visitor.page.wait_for_selector("[data-notice=answers]")
        assert visitor.page.query_selector("[data-completion-code]") is None
    shown = visitor.page.wait_for_selector("[data-completion-code]").inner_text()
    assert shown == site.sessions()[0].completion_code
    visitor.forgive("ERR_FAILED")


def test_a_second_window_takes_over_and_the_first_says_so_at_once(site, visit):
    visitor = visit()
    visitor.pass_practice()
    sequence = visitor.sequence()
    second = visitor.context.new_page()
    second.goto(visitor.page.url)
    second.wait_for_selector(f"[data-sequence='{sequence}'][data-ready]")
    visitor.wait_for("taken_over")
    visitor.page.keyboard.press("KeyQ")
    second.keyboard.press("KeyE")
    second.wait_for_selector(f"[data-sequence='{sequence + 1}'][data-ready]")
    second.reload()
    second.wait_for_selector(f"[data-sequence='{sequence + 1}'][data-ready]")
    assert site.answers()[-1].trial_index == sequence
    assert site.answers()[-1].confidence == 3
    visitor.press("take-over")
    assert visitor.sequence() == sequence + 1
    second.wait_for_selector("[data-screen=taken_over] [data-ready]")
    visitor.answer("upper")
    visitor.wait_until_gone(sequence + 1)
    visitor.sequence()
    assert sequences(site) == list(range(sequence + 2))


def test_another_device_takes_over_and_the_first_learns_it_with_its_answer(site, visit):
    first = visit()
    first.pass_practice()
    sequence = first.sequence()
    second = visit()
    second.open("participant=one")
    second.press("start")
    assert second.sequence() == sequence
    first.answer("upper", 1)
    first.wait_for("taken_over")
    second.answer("lower", 3)
    second.wait_until_gone(sequence)
    second.sequence()
    assert site.answers()[-1].confidence == 3
    first.press("take-over")
    assert first.sequence() == sequence + 1
    assert len(site.sessions()) == 1
    assert sequences(site) == list(range(sequence + 1))
    first.forgive("409")


def test_the_back_button_comes_back_to_the_open_trial(site, visit):
    visitor = visit()
    visitor.pass_practice()
    sequence = visitor.sequence()
    visitor.page.goto(f"{visitor.site.address}api/study")
    visitor.page.go_back()
    assert visitor.sequence() == sequence
    visitor.answer("upper")
    visitor.wait_until_gone(sequence)
    visitor.sequence()
    assert site.answers()[-1].interrupted


def test_a_page_that_comes_back_from_memory_is_loaded_anew(visit):
    visitor = visit()
    visitor.pass_practice()
    sequence = visitor.sequence()
    with visitor.page.expect_response("**/api/session/resume"):
        visitor.page.evaluate(
            "dispatchEvent(new PageTransitionEvent('pageshow', {persisted: true}))"
        )
    assert visitor.sequence() == sequence


def doubled(route):
    """Let the network deliver a request twice, and the first reply alone."""
    first = route.fetch()
    route.fetch()
    route.fulfill(response=first)


@pytest.mark.parametrize("path", ["**/api/sessions", "**/api/session/resume"])
def test_a_request_that_the_network_doubles_takes_nothing_over(site, visit, path):
    visitor = visit()
    visitor.page.route(path, doubled)
    visitor.pass_practice()
    sequence = visitor.sequence()
    visitor.reload()
    assert visitor.sequence() == sequence
    visitor.answer("upper")
    visitor.wait_until_gone(sequence)
    visitor.sequence()
    assert visitor.screen == "trial"
    assert site.sessions()[0].n_reloads == 1


def test_a_page_that_was_overtaken_while_it_loaded_says_so(site, visit):
    visitor = visit()
    visitor.pass_practice()
    sequence = visitor.sequence()

    def overtaken(route):
        kept = route.request.post_data_json | {"resume_key": str(uuid4())}
        route.fetch()
        route.fetch(post_data=json.dumps(kept))
        route.continue_()

    visitor.page.route("**/api/session/resume", overtaken, times=1)
    visitor.reload()
    visitor.wait_for("taken_over")
    visitor.press("take-over")
    assert visitor.sequence() == sequence
    visitor.forgive("409")


def test_a_page_that_is_prerendered_asks_for_nothing(site, visit):
    visitor = visit()
    visitor.begin()
    visitor.context.add_init_script(
        "Object.defineProperty(document, 'prerendering', {value: true});"
    )
    visitor.requests.clear()
    visitor.reload()
    visitor.page.wait_for_timeout(300)
    assert not any("/api/" in url for url in visitor.requests)
    visitor.page.evaluate("document.dispatchEvent(new Event('prerenderingchange'))")
    visitor.wait_for("instructions")


def test_who_comes_back_after_a_day_is_told_so(study, browser, tmp_path):
    clock = Clock()
    with running_site(study, tmp_path, clock=clock) as site:
        visitor = Visitor(browser.new_context(), site)
        visitor.pass_practice()
        visitor.sequence()
        clock.ahead += timedelta(days=1)
        visitor.reload()
        visitor.wait_for("timed_out")
        assert site.sessions()[0].status == "timed_out"
        visitor.context.close()


def test_who_cannot_take_part_can_say_why(site, visit):
    visitor = visit()
    visitor.open()
    visitor.press("start")
    visitor.press("cannot")
    visitor.press("back")
    visitor.press("cannot")
    visitor.press("colour_vision")
    visitor.wait_for("declined")
    assert site.sessions()[0].status == "declined"
    assert site.sessions()[0].decline_reason == "colour_vision"


def test_answers_that_wait_are_stored_before_one_stops(site, visit):
    visitor = visit()
    visitor.pass_practice()
    sequence = visitor.sequence()
    with failing(visitor, ANSWERS, lambda route: route.abort()):
        visitor.answer("upper")
        visitor.wait_until_gone(sequence)
        visitor.sequence()
        visitor.press("stop")
        visitor.press("keep")
        visitor.page.wait_for_selector("[data-notice=answers]")
        assert site.sessions()[0].status == "active"
    visitor.wait_for("withdrawn")
    assert sequences(site) == list(range(sequence + 1))
    visitor.forgive("ERR_FAILED")


def interactions(site):
    with site.database.read() as db:
        found = db.scalars(
            select(InteractionRecord).order_by(
                InteractionRecord.visit, InteractionRecord.number
            )
        )
        return [(one.number, one.event, one.trial, one.value) for one in found]


def test_what_happens_to_the_window_is_stored_in_order_with_its_trial(site, visit):
    visitor = visit()
    visitor.pass_practice()
    sequence = visitor.sequence()
    visitor.page.wait_for_timeout(1200)
    n_before = len(interactions(site))
    with visitor.page.expect_response("**/api/session/events"):
        visitor.page.evaluate(
            """() => {
              for (const name of ["blur", "focus", "offline", "online"])
                dispatchEvent(new Event(name));
            }"""
        )
    found = interactions(site)
    assert [one[0] for one in found] == list(range(len(found)))
    assert [one[1:3] for one in found[n_before:]] == [
        ("blur", sequence),
        ("focus", sequence),
        ("offline", sequence),
        ("online", sequence),
    ]


def test_losses_of_focus_count_for_their_trial_alone(site, visit):
    visitor = visit()
    visitor.pass_practice()
    for n_losses in (2, 0):
        sequence = visitor.sequence()
        visitor.page.evaluate(
            """(n) => { for (let i = 0; i < n; i += 1) {
                 dispatchEvent(new Event("blur")); dispatchEvent(new Event("focus"));
               } }""",
            n_losses,
        )
        visitor.answer("upper")
        visitor.wait_until_gone(sequence)
    visitor.sequence()
    assert [one.n_focus_losses for one in site.answers()][-2:] == [2, 0]


def test_zoom_is_told_from_another_screen(site, visit):
    visitor = visit()
    visitor.pass_practice()
    visitor.sequence()
    change = """([ratio, outer]) => {
      const define = (name, value) =>
        Object.defineProperty(window, name, {value, configurable: true});
      define("devicePixelRatio", ratio);
      define("outerWidth", outer);
      dispatchEvent(new Event("resize"));
    }"""
    visitor.page.evaluate(change, [2, 1280])
    visitor.page.evaluate(change, [1.5, 1920])
    visitor.page.wait_for_timeout(1500)
    visitor.answer("upper")
    visitor.page.wait_for_selector("[data-waiting='0']", state="attached")
    visitor.wait_until_gone(2)
    visitor.sequence()
    zooms = [one[3] for one in interactions(site) if one[1] == "zoom"]
    assert zooms == [1.5]
    assert site.answers()[-1].zoom == 1.5
