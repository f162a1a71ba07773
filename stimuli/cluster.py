"""Work on a Dask cluster: shards of a recording, and networks of a sweep."""

import inspect
import tomllib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from data.errors import DataContractError, MissingExtraError, ProjectError
from data.images import ImageSet, read_image_set
from data.recordings import Recording
from stimuli.networks import Network, load_network
from stimuli.passes import NetworkPass
from stimuli.record_config import Job, LabelCheck, RecordConfig
from stimuli.shards import Shard, is_recorded, joined, record_shard, shards_of
from stimuli.sweep import Run, run_network

if TYPE_CHECKING:
    from distributed import Client

JOB_SYSTEMS = {
    "slurm": "SLURMCluster",
    "pbs": "PBSCluster",
    "sge": "SGECluster",
    "lsf": "LSFCluster",
    "oar": "OARCluster",
    "htcondor": "HTCondorCluster",
}

_DEATHS = 10
"""Workers that may die over one piece of work before it is given up."""

_ONE_AT_A_TIME = Lock()
"""A worker with several threads has one network and its hooks, so they take turns."""


@contextmanager
def open_cluster(text: str) -> "Iterator[Client]":
    """Give a client of the cluster that ``--cluster`` names.

    Parameters
    ----------
    text : str
        ``local:N`` for N processes here; ``slurm:FILE.toml`` (or another of
        :data:`JOB_SYSTEMS`), a file with ``jobs`` and the settings of dask-jobqueue's
        cluster; or the address of a scheduler, such as ``tcp://10.0.0.1:8786``.

    Raises
    ------
    DataContractError
        The text, the file or the address can't be used.
    MissingExtraError
        Dask is not installed.
    """
    kind, _, rest = text.partition(":")
    if kind != "local" and kind not in JOB_SYSTEMS and "://" not in text:
        raise DataContractError(
            f"'--cluster' is {text!r}; it must be local:N, an address such as"
            " tcp://10.0.0.1:8786, or one of"
            f" {[f'{one}:FILE.toml' for one in JOB_SYSTEMS]}. Mend it."
        )
    try:
        import dask
        import distributed
    except ImportError as error:
        raise MissingExtraError(
            "'--cluster' needs Dask, which is not installed. Install the extra"
            " 'scale': pip install 'unitscope[scale]'."
        ) from error
    own = {"distributed.scheduler.allowed-failures": _DEATHS}
    with dask.config.set(own):
        if "://" in text:
            with _connected(text) as client:
                yield client
            return
        make = _local if kind == "local" else _job_system
        with make(kind, rest) as cluster, distributed.Client(cluster) as client:
            yield client


@contextmanager
def _connected(address: str) -> "Iterator[Client]":
    from distributed import Client

    try:
        client = Client(address, timeout="20s")
    except (OSError, ValueError) as error:
        raise DataContractError(
            f"No Dask scheduler answers at {address} ({error}). Start one with"
            " 'dask scheduler', or mend the address."
        ) from error
    with client:
        yield client


def _local(_kind: str, text: str) -> Any:
    from distributed import LocalCluster

    if not text.isdecimal() or int(text) < 1:
        raise DataContractError(
            f"'--cluster' is 'local:{text}'; it must name how many processes, such as"
            " local:2."
        )
    return LocalCluster(
        n_workers=int(text),
        threads_per_worker=1,
        host="127.0.0.1",
        # Any port, so that clusters stand beside each other.
        dashboard_address="127.0.0.1:0",
        # The operating system tells what is free; pausing would only wait for ever.
        memory_limit=0,
    )


def _job_system(kind: str, text: str) -> Any:
    settings = job_settings(Path(text), kind)
    jobs = settings.pop("jobs")
    settings.setdefault("scheduler_options", {"dashboard_address": ":0"})
    made = _job_class(kind)(**settings)
    made.scale(jobs=jobs)
    return made


def _job_class(kind: str) -> Any:
    try:
        import dask_jobqueue
    except ImportError as error:
        raise MissingExtraError(
            f"'--cluster {kind}:FILE.toml' needs dask-jobqueue, which is not installed."
            " Install the extra 'scale': pip install 'unitscope[scale]'."
        ) from error
    return getattr(dask_jobqueue, JOB_SYSTEMS[kind])


def job_settings(path: Path, kind: str) -> dict[str, Any]:
    """Read and check the settings of a job system's cluster.

    Raises
    ------
    DataContractError
        The file is missing, no TOML, or lacks 'jobs', 'cores' or 'memory', or has a
        setting that dask-jobqueue does not know.
    """
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DataContractError(
            f"{path} does not exist. Write one with jobs, cores, memory, walltime."
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DataContractError(
            f"{path} is no TOML ({error}). Mend that place."
        ) from error
    missing = [name for name in ("jobs", "cores", "memory") if name not in found]
    if missing:
        raise DataContractError(
            f"{path} lacks {missing}; it must say how many jobs there are, and what"
            " each asks for. Add them, such as jobs = 8, cores = 4, memory = '16GB'."
        )
    own = _job_class(kind)
    known = {
        name
        for one in own.__mro__ + own.job_cls.__mro__
        for name in inspect.signature(one.__init__).parameters
    }
    unknown = sorted(found.keys() - known - {"jobs"})
    if unknown:
        raise DataContractError(
            f"{path} has the settings {unknown}, which {own.__name__} does not know."
            " Its documentation lists them (dask-jobqueue)."
        )
    return found


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where a worker finds the images and the network; plain values."""

    images: str
    fingerprint: str
    network: str
    name: str
    weights: str | None
    weights_hash: str


def record_on_cluster(
    client: "Client",
    source: Source,
    job: Job,
    folder: Path,
    *,
    images: ImageSet,
    seed: int,
    batch_size: int,
    device: str,
    n_each: int,
    workers: int,
    advance: Callable[[int], None] = lambda n_images: None,
    tell: Callable[[str], None] = lambda text: None,
) -> tuple[Recording, LabelCheck | None]:
    """Record a network in shards, on a file system that all workers see.

    A shard whose file stands is not recorded again, so a run that was stopped goes
    on. A shard that two workers record is written twice with the same content, and a
    worker that dies gives its shard back.

    Parameters
    ----------
    folder : Path
        Of the shards; remove it when the recording is written.
    n_each : int
        Images wanted in a shard.

    Returns
    -------
    Recording, LabelCheck or None
        The same, bit for bit, as :func:`stimuli.record.record` gives with these
        settings and software on such machines.

    Raises
    ------
    DataContractError
        As :func:`stimuli.record.record`; or workers died too often over one shard.
    """
    # Checks all that can be wrong before any worker starts, and says what decides.
    job = replace(job, checkpoint=None)
    made_by = NetworkPass(
        images, job, seed=seed, batch_size=batch_size, device="cpu"
    ).made_by | {"device": device}
    config = replace(job.config, reductions=dict(job.config.reductions))
    n_images = len(images.image_ids)
    shards = shards_of(n_images, n_each=n_each, batch_size=batch_size)
    missing = []
    for shard in shards:
        if is_recorded(folder, shard, made_by):
            advance(shard.stop - shard.first)
        else:
            missing.append(shard)
    if len(missing) < len(shards):
        tell(f"{len(shards) - len(missing)} of {len(shards)} shards stand already.")
    work = [
        (
            source,
            config,
            shard,
            str(folder.resolve()),
            {
                "seed": seed,
                "batch_size": batch_size,
                "device": device,
                "workers": workers,
            },
            {"check_labels": job.check_labels, "memory_bytes": job.memory_bytes},
        )
        for shard in missing
    ]
    for index, _ in _ended(client, _shard_on_worker, work):
        advance(missing[index].stop - missing[index].first)
    return joined(images, job, shards, folder, seed=seed, made_by=made_by)


def _shard_on_worker(
    source: Source,
    config: RecordConfig,
    shard: Shard,
    folder: str,
    options: dict[str, Any],
    job: dict[str, Any],
) -> str | None:
    with _ONE_AT_A_TIME:
        try:
            images = _images(source.images, source.fingerprint)
            network = _network(source)
            own = Job(network=network, config=config, **job)
            record_shard(images, own, shard, Path(folder), **options)
        except ProjectError as error:
            return str(error)
    return None


@lru_cache(maxsize=1)
def _images(folder: str, fingerprint: str) -> ImageSet:
    images = read_image_set(Path(folder))
    if images.fingerprint != fingerprint:
        raise DataContractError(
            f"{folder} holds other images on a worker than here; all must see the same"
            " files. Put the image set where all workers read it."
        )
    return images


@lru_cache(maxsize=1)
def _network(source: Source) -> Network:
    network = load_network(source.network, name=source.name, weights=source.weights)
    if network.weights_hash != source.weights_hash:
        raise DataContractError(
            f"Network {source.network!r} has other weights on a worker than here; all"
            " must load the same. Give a file with --weights, or fix its seed."
        )
    return network


def runs_on_cluster(
    client: "Client",
) -> Callable[..., Iterator[tuple[int, str]]]:
    """Return what :func:`stimuli.sweep.run_sweep` takes to run networks on workers."""

    def run_all(runs: Sequence[Run], *, retry: bool) -> Iterator[tuple[int, str]]:
        work = [(run, retry) for run in runs]
        yield from _ended(client, _network_on_worker, work)

    return run_all


def _network_on_worker(run: Run, retry: bool) -> str:
    return run_network(run, retry=retry)


def _ended(
    client: "Client", function: Callable[..., Any], work: Sequence[tuple[Any, ...]]
) -> Iterator[tuple[int, Any]]:
    """Yield (index, result) as pieces of work end; raise on the first that failed."""
    from distributed import as_completed
    from distributed.scheduler import KilledWorker

    # Never two names for one piece of work: a late worker's result counts as its own.
    futures = {
        client.submit(function, *one, pure=False, retries=2): index
        for index, one in enumerate(work)
    }
    try:
        for future in as_completed(futures):
            result = future.result()
            if function is _shard_on_worker and result is not None:
                raise DataContractError(result)
            yield futures[future], result
    except KilledWorker as error:
        raise DataContractError(
            f"{_DEATHS} workers died over one piece of work, most often for want of"
            " memory. Give workers more, or a smaller batch; what was finished is kept."
        ) from error
    finally:
        client.cancel(list(futures))
