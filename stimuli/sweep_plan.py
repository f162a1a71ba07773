"""What a sweep as large as the MIS paper's would take, from rates that are given."""

import tomllib
from dataclasses import dataclass, fields
from math import ceil
from pathlib import Path

from data.errors import DataContractError


@dataclass(frozen=True, kw_only=True)
class Rates:
    """How large a sweep is and how fast its parts go.

    Attributes
    ----------
    n_networks, n_images, n_units : float
        Of the sweep; units of all networks together.
    n_tasks, n_explanations : float
    n_gpus : float
        Workers, each with a GPU.
    forward_images_per_s : float
        Of one GPU, forward pass alone, mean over networks. The default is what the
        paper's 1,000 GPU hours for 835 networks come to, on GPUs of 2018.
    record_overhead : float
        What recording adds to the forward pass, as a share.
    decode_images_per_s : float
        Of one core that decodes and resizes.
    together : float
        Networks that share one decoding.
    encoder_images_per_s : float
        Of one GPU, DreamSim's ensemble.
    score_units_per_s : float
        Of one worker; the default is a processor's, with 2 cores.
    feature_dim, feature_bytes : float
        Numbers an image, and bytes a number.
    """

    n_networks: float = 835
    n_images: float = 1_281_167
    n_units: float = 70e6
    n_tasks: float = 20
    n_explanations: float = 9
    n_gpus: float = 8
    forward_images_per_s: float = 300
    record_overhead: float = 0.15
    decode_images_per_s: float = 150
    together: float = 1
    encoder_images_per_s: float = 300
    score_units_per_s: float = 1_900
    feature_dim: float = 1_792
    feature_bytes: float = 2

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            number = isinstance(value, int | float) and not isinstance(value, bool)
            least = 0 if field.name == "record_overhead" else 1e-9
            if not number or value < least:
                raise DataContractError(
                    f"{field.name!r} is {value!r}; it must be a number above 0. Mend"
                    " the rates."
                )


def read_rates(path: Path) -> Rates:
    """Read rates from a TOML file; those that are not named keep their defaults.

    Raises
    ------
    DataContractError
        It is missing, no TOML, or has an entry that is unknown or no number above 0.
    """
    try:
        found = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DataContractError(f"{path} does not exist. Check the path.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DataContractError(
            f"{path} is no TOML ({error}). Mend that place."
        ) from error
    known = [field.name for field in fields(Rates)]
    unknown = sorted(found.keys() - set(known))
    if unknown:
        raise DataContractError(
            f"{path} has the entries {unknown}; a plan has {known}. Take them out."
        )
    return Rates(**found)


@dataclass(frozen=True, kw_only=True)
class SweepPlan:
    """What the sweep takes; hours are of GPUs where they say so, sizes in bytes.

    Attributes
    ----------
    record_gpu_hours, encode_gpu_hours, score_hours : float
        Scoring in hours of workers.
    days : float
        All of it on all GPUs, recording, encoding and scoring one after the other.
    cores_per_gpu : int
        Decoding cores that keep one GPU busy.
    n_tasks : float
    recordings, tasks, scores, features : float
        Bytes on disk; see the notes.

    Notes
    -----
    An extreme image is an index and a value of 4 bytes each, at both ends, and a
    unit's statistics take about 50 bytes; a task names 2 (K + 1) images by 4 bytes;
    a margin has 4 bytes, and a unit's score about 20.
    """

    record_gpu_hours: float
    encode_gpu_hours: float
    score_hours: float
    days: float
    cores_per_gpu: int
    n_tasks: float
    recordings: float
    tasks: float
    scores: float
    features: float


def plan_of(rates: Rates) -> SweepPlan:
    """Compute a plan."""
    seconds = rates.n_images / rates.forward_images_per_s * (1 + rates.record_overhead)
    record = rates.n_networks * seconds / 3600
    encode = rates.n_images / rates.encoder_images_per_s / 3600
    score = rates.n_units / rates.score_units_per_s / 3600
    n_extremes = rates.n_tasks * (rates.n_explanations + 1)
    seen = rates.forward_images_per_s / (1 + rates.record_overhead) / rates.together
    return SweepPlan(
        record_gpu_hours=record,
        encode_gpu_hours=encode,
        score_hours=score,
        days=(record + encode + score) / rates.n_gpus / 24,
        cores_per_gpu=ceil(seen / rates.decode_images_per_s),
        n_tasks=rates.n_units * rates.n_tasks,
        recordings=rates.n_units * (2 * n_extremes * 8 + 50),
        tasks=rates.n_units * 2 * n_extremes * 4,
        scores=rates.n_units * (4 * rates.n_tasks + 20),
        features=rates.n_images * rates.feature_dim * rates.feature_bytes,
    )


def plan_text(rates: Rates, plan: SweepPlan) -> str:
    """Return the plan in lines, with what it was computed from."""
    rows = [
        ("recording", f"{plan.record_gpu_hours:,.0f} GPU hours"),
        ("features of the images", f"{plan.encode_gpu_hours:,.1f} GPU hours, once"),
        ("scoring", f"{plan.score_hours:,.1f} hours of a worker"),
        ("all, on all GPUs", f"{plan.days:,.1f} days"),
        ("decoding", f"{plan.cores_per_gpu} cores a GPU"),
        ("tasks", f"{plan.n_tasks / 1e9:,.2f} billion"),
        ("recordings", f"{plan.recordings / 1e9:,.0f} GB"),
        ("task sets", f"{plan.tasks / 1e9:,.0f} GB"),
        ("scores with margins", f"{plan.scores / 1e9:,.1f} GB"),
        ("features", f"{plan.features / 1e9:,.2f} GB"),
    ]
    width = max(len(name) for name, _ in rows)
    return "\n".join(
        [
            "A plan, computed from the rates below; nothing was run at this size.",
            f"{rates.n_networks:,.0f} networks, {rates.n_images:,.0f} images,"
            f" {rates.n_units / 1e6:,.1f} million units, {rates.n_gpus:,.0f} GPUs",
            "",
            *(f"{name:<{width}}  {value}" for name, value in rows),
            "",
            "Rates: "
            + ", ".join(
                f"{field.name} = {getattr(rates, field.name):g}"
                for field in fields(rates)
            ),
        ]
    )
