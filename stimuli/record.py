"""Recording: one pass of networks over an image set, in bounded memory."""

from collections.abc import Callable, Sequence

from data.errors import DataContractError
from data.images import ImageSet
from data.recordings import Recording
from stimuli.checkpoints import Checkpoint, Clock
from stimuli.decoding import WORKERS, batches
from stimuli.networks import Network
from stimuli.passes import NetworkPass
from stimuli.record_config import Job, LabelCheck, RecordConfig

__all__ = ["BATCH_SIZE", "RecordConfig", "record", "record_together"]

BATCH_SIZE = 4
"""A CPU is fastest where a batch's maps stay below 32 MiB, so that the memory
allocator reuses them: EfficientNet-Lite0 takes 15 ms an image in batches of 4, 44 ms
in batches of 32. A GPU wants more."""


def record(
    images: ImageSet,
    network: Network,
    config: RecordConfig,
    *,
    seed: int,
    batch_size: int = BATCH_SIZE,
    device: str = "cpu",
    check_labels: bool = False,
    checkpoint: Checkpoint | None = None,
    workers: int = WORKERS,
    advance: Callable[[int], None] = lambda n_images: None,
    tell: Callable[[str], None] = lambda text: None,
) -> tuple[Recording, LabelCheck | None]:
    """Run a network over an image set once; see :func:`record_together`.

    Returns
    -------
    Recording, LabelCheck or None
    """
    job = Job(
        network=network,
        config=config,
        checkpoint=checkpoint,
        check_labels=check_labels,
    )
    return record_together(
        images,
        [job],
        seed=seed,
        batch_size=batch_size,
        device=device,
        workers=workers,
        advance=advance,
        tell=tell,
    )[0]


def record_together(
    images: ImageSet,
    jobs: Sequence[Job],
    *,
    seed: int,
    batch_size: int = BATCH_SIZE,
    device: str = "cpu",
    workers: int = WORKERS,
    advance: Callable[[int], None] = lambda n_images: None,
    tell: Callable[[str], None] = lambda text: None,
) -> list[tuple[Recording, LabelCheck | None]]:
    """Run networks over an image set once, and decode every image once.

    Parameters
    ----------
    images : ImageSet
    jobs : sequence of Job
        A recording comes of each. Where a job's checkpoint is there, it goes on from
        it, and ends with the recording that an undisturbed run gives.
    seed : int
        Breaks ties.
    batch_size : int
        Images that a network sees at once. All batches have this shape, the last one
        filled up, so that no image's activations depend on how many are left. Where
        the memory does not suffice, it is halved, as often as is needed; activations
        then change by rounding.
    device : str
        Of torch.
    workers : int
        Threads that decode images ahead.
    advance : callable
        Called with the number of images after each batch.
    tell : callable
        Called with a line for the log: sizes, smaller batches, a run that goes on.

    Returns
    -------
    list of (Recording, LabelCheck or None)
        In the order of ``jobs``.

    Raises
    ------
    DataContractError
        Before the pass: the set is too small; a layer, unit or device is not there;
        what is recorded needs more memory than there is; a checkpoint is of another
        run. During it: a layer has no single activation a channel, activations are
        not finite, or an image's activations depend on the others of its batch.
    """
    if batch_size < 1:
        raise DataContractError(f"'batch_size' is {batch_size}; it must be at least 1.")
    if workers < 1:
        raise DataContractError(f"'workers' is {workers}; it must be at least 1.")
    passes = [
        NetworkPass(
            images, job, seed=seed, batch_size=batch_size, device=device, tell=tell
        )
        for job in jobs
    ]
    start = min(one.n_done for one in passes)
    if start:
        advance(start)
    networks = [job.network for job in jobs]
    clocks = [Clock(job.checkpoint.minutes) if job.checkpoint else None for job in jobs]
    groups = batches(images, networks, batch_size, start=start, workers=workers)
    try:
        for group in groups:
            for one, batch, clock in zip(passes, group, clocks, strict=True):
                if one.n_done > start:
                    continue
                one.take(batch)
                if clock and clock.is_due():
                    one.save()
            start += len(group[0])
            advance(len(group[0]))
        return [one.result() for one in passes]
    finally:
        groups.close()
        for one in passes:
            one.close()
