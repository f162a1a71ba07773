"""The parts of the machine observer that are killed: commands, and what they write."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from tests.kills.networks import LAYERS, START_LAYERS
from tests.stimuli.toy import image_set_of, save_pictures

ROOT = Path(__file__).resolve().parent.parent.parent
NETWORK = ("--network", "tests.kills.networks:small", "--layers", LAYERS)
START = ("--network", "tests.kills.networks:start", "--layers", START_LAYERS)
CLUSTER = ("--cluster", "local:2")
ENCODER = "tests.kills.networks:stem"
MAY_DIFFER = {
    "log.txt": "what the commands of a sweep said, over all its runs",
    "seconds.json": "seconds that a network's steps took",
    "seconds.csv": "the same of all networks",
    "lock": "empty",
    ".lock": "empty",
}
"""Files that no kill has to leave as they are, and what stands in them."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """One command, killed in one or more ways.

    Attributes
    ----------
    words : callable
        From the folder of the output to the words after ``unitscope``.
    begun : mapping of str to str
        How it is killed ('all': the command and whatever it started; 'command': it
        alone; 'worker': one process in which Dask works) to what must lie in the
        output's folder, as a pattern, before the moment is counted from there; empty
        for the start of the process.
    prepare : callable
        Fills the folder of the output with what stands before the command runs.
    compared : tuple of str
        Patterns of the files that are compared; by default all.
    in_a_row : int
        Kills before a run is let end, where a run is long.
    alone : callable, optional
        Words of the same work without a cluster, which must give the same bytes.
    """

    name: str
    words: Callable[[Path], list[str]]
    begun: dict[str, str]
    prepare: Callable[[Path], object] = field(default=lambda out: None)
    compared: tuple[str, ...] = ("**/*",)
    in_a_row: int = 1
    alone: Callable[[Path], list[str]] | None = None


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """How much work the parts do.

    Attributes
    ----------
    n_images : int
        Of all parts but recording on a cluster.
    n_cluster_images : int
        Of that; a shard has 256.
    n_networks : int
        Of a sweep.
    """

    n_images: int = 160
    n_cluster_images: int = 1536
    n_networks: int = 2


def called(words: list[str], log: Path) -> subprocess.Popen[bytes]:
    """Start ``unitscope`` in a process group of its own."""
    with log.open("ab") as out:
        return subprocess.Popen(
            [sys.executable, "-m", "unitscope", *words],
            cwd=ROOT,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )


def _done(words: list[str], log: Path) -> None:
    if called(words, log).wait() != 0:
        raise RuntimeError(f"{words} did not run: {log.read_text()}")


class Given:
    """What the parts start from, made once in a folder."""

    def __init__(self, place: Path, sizes: Sizes) -> None:
        self.place, self.sizes = place, sizes
        self.images = self._image_set("few", sizes.n_images)
        self.many = self._image_set("many", sizes.n_cluster_images)

    @cached_property
    def tasks(self) -> Path:
        """Tasks of a recording; the features of their images stand beside."""
        place, log = self.place, self.place / "log.txt"
        _done(self.record(place), log)
        words = ["tasks", str(place / "recording"), "--out", str(place / "tasks")]
        _done([*words, "--n-tasks", "3", "--n-explanations", "9"], log)
        _done(self._score(place, place / "tasks"), log)
        return place / "tasks"

    def _image_set(self, name: str, n_images: int) -> Path:
        image_set_of(save_pictures(self.place / name, n_images))
        return self.place / f"{name}-set"

    def record(self, out: Path) -> list[str]:
        """Return a recording's words; it keeps its state after every batch."""
        options = ["--images", str(self.images), "--checkpoint-minutes", "0"]
        return self._record(out, *NETWORK, *options)

    def record_many(self, out: Path, *more: str) -> list[str]:
        """Return the words of a longer recording of a smaller network."""
        return self._record(out, *START, "--images", str(self.many), *more)

    def record_on_cluster(self, out: Path) -> list[str]:
        return self.record_many(out, *CLUSTER, "--shard-images", "256")

    def _record(self, out: Path, *options: str) -> list[str]:
        end = ["--n-extremes", "30", "--out", str(out / "recording")]
        return ["record", *options, *end]

    def score(self, out: Path) -> list[str]:
        return self._score(out, self.tasks)

    def _score(self, out: Path, tasks: Path) -> list[str]:
        words = ["score", str(tasks), "--images", str(self.images)]
        words += ["--encoder", ENCODER, "--features", str(out / "features")]
        return [*words, "--out", str(out / "scores")]

    def sweep(self, out: Path, *more: str) -> list[str]:
        path = self.place / "models.toml"
        networks = "".join(
            f'[[network]]\nnetwork = "{START[1]}"\nname = "net{one}"\n'
            for one in range(self.sizes.n_networks)
        )
        path.write_text(
            f'images = "{self.images}"\nlayers = "{START_LAYERS}"\n'
            f'encoder = "{ENCODER}"\nn_tasks = 3\nn_explanations = 9\n{networks}'
        )
        features = ["--features", str(out / "features")]
        return ["sweep", str(path), "--out", str(out / "sweep"), *features, *more]

    def sweep_on_cluster(self, out: Path) -> list[str]:
        return self.sweep(out, *CLUSTER)

    def stored_features(self, out: Path) -> None:
        """Put features in place, but for the lock that tells that they were read."""
        assert self.tasks.exists()
        no_lock = shutil.ignore_patterns(".lock")
        shutil.copytree(self.place / "features", out / "features", ignore=no_lock)


def parts(given: Given) -> dict[str, Part]:
    """Return all parts by name."""
    found = [
        Part(
            name="record",
            words=given.record,
            begun={"all": "recording.unfinished.npz"},
        ),
        Part(name="features", words=given.score, begun={"all": "features/*/.lock"}),
        Part(
            name="score",
            words=given.score,
            begun={"all": "features/*/.lock"},
            prepare=given.stored_features,
        ),
        Part(
            name="sweep",
            words=given.sweep,
            begun={"all": "sweep/runs/*/lock", "command": "sweep/runs/*/lock"},
            in_a_row=5,
        ),
        Part(
            name="record on a cluster",
            words=given.record_on_cluster,
            begun={"all": "", "command": "", "worker": "recording.shards/*.npz"},
            alone=given.record_many,
        ),
        Part(
            name="sweep on a cluster",
            words=given.sweep_on_cluster,
            begun={one: "sweep/runs/*/lock" for one in ("all", "command", "worker")},
            # Rows of the store come in the order in which networks ask for them.
            compared=("sweep/**/*",),
            in_a_row=5,
            alone=given.sweep,
        ),
    ]
    return {one.name: one for one in found}
