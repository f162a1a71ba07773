"""A toy study, an empty database of either kind, and participants."""

from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from data.studies import read_study
from experiment_server.app import create_app
from experiment_server.serve_command import CRITERIA
from experiment_server.settings import ServerSettings
from tests.experiment_server.participant import Participant
from tests.experiment_server.toy_study import make_toy_study
from tests.experiment_server.visitor import Visitor, running_site


class Clock:
    """A clock that only the test moves on."""

    def __init__(self):
        self.now = datetime(2026, 1, 1, 12, tzinfo=UTC)

    def __call__(self):
        return self.now

    def pass_minutes(self, minutes):
        self.now += timedelta(minutes=minutes)


class Served:
    """A study on its application, with its database."""

    def __init__(self, study, url, settings):
        self.study = study
        self.url = url
        self.app = create_app(study.folder, url, settings)
        self.database = self.app.extensions["unitscope"].database

    def participant(self, *, join=True, **body):
        one = Participant(self.app.test_client(), self.study)
        if join:
            reply = one.join(**body)
            assert reply.status_code in (200, 201), reply.json
        return one


@pytest.fixture(scope="session")
def toy_folder(tmp_path_factory):
    """The folder of a toy study that no test may change."""
    return make_toy_study(tmp_path_factory.mktemp("toy") / "study")


@pytest.fixture
def make_study(tmp_path):
    """Make a toy study with other settings; returns it."""

    def make(**settings):
        return read_study(make_toy_study(tmp_path / "study", **settings))

    return make


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def database_url(request, tmp_path):
    """The URL of an empty database; every test that asks for it runs on both."""
    if request.param == "postgres":
        return request.getfixturevalue("postgres_url")
    return f"sqlite:///{tmp_path / 'answers.sqlite'}"


@pytest.fixture
def sqlite_url(tmp_path):
    return f"sqlite:///{tmp_path / 'answers.sqlite'}"


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def serve_from(toy_folder, clock):
    """Serve the toy study, or another one, from a database, with the test's clock."""
    opened = []

    def start(url, study=None, **settings):
        settings = {"criteria": CRITERIA["none"], "clock": clock} | settings
        study = study or read_study(toy_folder)
        opened.append(Served(study, url, ServerSettings(**settings)))
        return opened[-1]

    yield start
    for served in opened:
        served.database.close()


@pytest.fixture
def serve(serve_from, database_url):
    """Serve as ``serve_from`` does, from an empty database of either kind."""
    return partial(serve_from, database_url)


@pytest.fixture
def site(study, tmp_path):
    """The test's study, served for browsers."""
    with running_site(study, tmp_path) as running:
        yield running


@pytest.fixture
def visit(browser, site):
    """Make visitors; at the end none may have made the browser complain."""
    visitors = []

    def make(*, by="mouse", size=(1280, 720), **options):
        width, height = size
        context = browser.new_context(
            viewport={"width": width, "height": height}, **options
        )
        visitors.append(Visitor(context, site, by=by))
        return visitors[-1]

    yield make
    for visitor in visitors:
        visitor.context.close()
    assert [visitor.complaints for visitor in visitors] == [[] for _ in visitors]
