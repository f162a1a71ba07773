"""A few of the kills that ``python -m tests.kills`` makes many of."""

import numpy as np
import pytest

from tests.kills.parts import Given, Part, Sizes, parts
from tests.kills.points import Point, Undisturbed, contents, expected, killed
from tests.kills.run import drawn_points, run_part

SIZES = Sizes(n_images=64, n_cluster_images=768, n_networks=1)


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    return parts(Given(tmp_path_factory.mktemp("kills"), SIZES))


@pytest.mark.slow
def test_a_killed_recording_goes_on_to_the_same_bytes(found, tmp_path, seed):
    outcome = run_part(found["record"], tmp_path / "runs", n_points=2, seed=seed)
    assert [(one.trouble, one.differs) for one in outcome.points] == [(None, [])] * 2


@pytest.fixture(scope="module")
def swept(found, tmp_path_factory):
    """Folder of a sweep that nobody disturbed."""
    folder = tmp_path_factory.mktemp("swept") / "out"
    expected(found["sweep"], folder)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "way"), [("sweep", "command"), ("sweep on a cluster", "worker")]
)
def test_a_killed_sweep_goes_on_to_the_same_bytes(
    found, swept, tmp_path, rng, name, way
):
    usual = Undisturbed(
        seconds={way: (0, 20)}, contents=contents(found[name], swept)[0]
    )
    points = [Point(way=way, share=rng.random()) for _ in range(2)]
    killed(found[name], usual, tmp_path / "runs", points, rng)
    assert [(one.trouble, one.differs) for one in points] == [(None, [])] * 2


@pytest.mark.slow
def test_a_worker_that_is_killed_changes_no_byte(found, tmp_path, rng):
    part = found["record on a cluster"]
    usual = Undisturbed(
        seconds={"worker": (0, 0)}, contents=expected(part, tmp_path / "alone")
    )
    point = Point(way="worker", share=0)
    killed(part, usual, tmp_path / "runs", [point], rng)
    assert (point.trouble, point.differs) == (None, [])


def quick_part(**options):
    return Part(name="quick", words=lambda out: ["--version"], **options)


def test_moments_are_spread_over_a_run_and_those_of_a_seed_are_the_same():
    part = quick_part(begun={"all": "", "command": ""})
    points = drawn_points(part, 20, np.random.default_rng(1))
    assert sorted(int(20 * one.share) for one in points) == list(range(20))
    assert {one.way for one in points} == {"all", "command"}
    assert points == drawn_points(part, 20, np.random.default_rng(1))
    assert points != drawn_points(part, 20, np.random.default_rng(2))


def test_a_file_with_other_bytes_is_found(tmp_path, rng):
    usual = Undisturbed(seconds={"all": (0, 0)}, contents={"missing": "hash"})
    part = quick_part(
        begun={"all": ""}, prepare=lambda out: (out / "added").write_text("x")
    )
    point = Point(way="all", share=0)
    killed(part, usual, tmp_path / "runs", [point], rng)
    assert point.differs == ["added", "missing"]
    assert not point.equal


def test_a_run_that_always_ends_before_the_kill_is_no_success(tmp_path, rng):
    usual = Undisturbed(seconds={"all": (0, 0)}, contents={})
    part = quick_part(begun={"all": "never"})
    point = Point(way="all", share=0)
    killed(part, usual, tmp_path / "runs", [point], rng)
    assert "runs ended before it" in point.trouble
    assert not point.equal


def test_half_written_files_are_told_apart_and_those_that_may_differ_left_out(
    tmp_path,
):
    for name in ("log.txt", ".a.npz.12.part", "a.npz"):
        (tmp_path / name).write_text(name)
    hashes, left_over = contents(quick_part(begun={}), tmp_path)
    assert list(hashes) == ["a.npz"]
    assert left_over == [".a.npz.12.part"]
