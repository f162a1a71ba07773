"""Which way to a task set's margins moves the fewest bytes, and why."""

from dataclasses import dataclass
from importlib.util import find_spec
from typing import Literal, TypedDict

from data.errors import DataContractError

Strategy = Literal["gather", "gram"]
Backend = Literal["numpy", "torch"]

DEFAULT_MEMORY = 4 * 2**30
"""Bytes that features and similarities may take. The same on every machine: the last
bits of a margin depend on how the features are cut."""

_SLAB_BYTES = 16 * 2**20  # of features, in what the cores' last cache holds
_CACHED_COLUMNS = (128, 64)  # rows of whole cache lines that no two pages share
# Measured on two kinds of processor: a product of matrices takes as long as reading
# each operand once for every 32 rows of the other, a look-up as long as two lines.
_MATRIX_BLOCK = 32
_LOOK_UP_BYTES = 128
_TORCH_FROM = 2**30  # bytes moved: below, loading torch takes longer than it saves


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """What the work depends on; ``itemsize`` is of a stored feature, in bytes."""

    n_images: int
    n_features: int
    n_units: int
    n_tasks: int
    n_explanations: int
    itemsize: int = 4

    @property
    def stored_bytes(self) -> int:
        """Bytes of all features as they are stored."""
        return self.n_images * self.n_features * self.itemsize

    @property
    def gram_matrix_bytes(self) -> int:
        """Bytes of the similarities of all pairs of images."""
        return 4 * self.n_images**2


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How margins are computed, and what each way would have moved.

    Attributes
    ----------
    strategy : "gather" or "gram"
        Gather feature rows, or look similarities up in their Gram matrix.
    backend : "numpy" or "torch"
    device : str
        Of torch, such as ``"cpu"`` or ``"cuda:0"``.
    columns : int
        How many features of every image are held at once.
    memory : int
        Bytes that features and similarities may take.
    sizes : Sizes
    reason : str
        Why this strategy.
    """

    strategy: Strategy
    backend: Backend
    device: str
    columns: int
    memory: int
    sizes: Sizes
    reason: str

    @property
    def n_passes(self) -> int:
        """How often the stored features are read."""
        return max(1, -(-self.sizes.n_features // self.columns))

    @property
    def streams(self) -> bool:
        """Whether the features are more than the memory that they may take."""
        return 4 * self.sizes.n_images * self.sizes.n_features > self.memory // 2

    def explained(self) -> list[str]:
        """Return lines that say what was chosen and why."""
        sizes = self.sizes
        held = 4 * sizes.n_images * self.columns
        if self.strategy == "gram":
            held += sizes.gram_matrix_bytes
        return [
            f"{sizes.n_units:,} units × {sizes.n_tasks} tasks, each"
            f" 2 × {sizes.n_explanations} explanations and 2 queries;"
            f" {sizes.n_images:,} images × {sizes.n_features:,} features,"
            f" {8 * sizes.itemsize} bits each: {_size(sizes.stored_bytes)}",
            f"gather would move {_size(gather_bytes(sizes))}, gram"
            f" {_size(gram_bytes(sizes))} and hold {_size(sizes.gram_matrix_bytes)}",
            f"chosen: {self.strategy}, {self.reason}; {self.backend} on {self.device}",
            f"{self.columns:,} of {sizes.n_features:,} features at a time"
            f" ({self.n_passes} {'pass' if self.n_passes == 1 else 'passes'}"
            f"{', streamed' if self.streams else ''});"
            f" {_size(held)} held of {_size(self.memory)} allowed",
        ]


def gather_bytes(sizes: Sizes) -> int:
    """Return the bytes of all feature rows that the tasks name."""
    n_rows = sizes.n_units * sizes.n_tasks * 2 * (sizes.n_explanations + 1)
    return n_rows * sizes.n_features * 4


def gram_bytes(sizes: Sizes) -> int:
    """Return the bytes to make the Gram matrix and to look similarities up in it."""
    product = sizes.n_images**2 * (4 + 8 * sizes.n_features // _MATRIX_BLOCK)
    n_look_ups = sizes.n_units * sizes.n_tasks * 4 * sizes.n_explanations
    return product + n_look_ups * _LOOK_UP_BYTES


class PlanOptions(TypedDict, total=False):
    """What :func:`make_plan` can be told; each has a default."""

    memory: int
    strategy: Strategy | None
    backend: Backend | None
    device: str


def make_plan(
    sizes: Sizes,
    *,
    memory: int = DEFAULT_MEMORY,
    strategy: Strategy | None = None,
    backend: Backend | None = None,
    device: str = "cpu",
) -> Plan:
    """Choose what moves fewer bytes among what fits in ``memory``.

    Parameters
    ----------
    memory : int
        Bytes, above 0.
    strategy, backend : optional
        None chooses. A device other than the CPU needs torch.

    Raises
    ------
    DataContractError
        The memory does not hold what even the smallest cut needs.
    """
    fits = sizes.gram_matrix_bytes <= memory // 2
    reason = "as asked"
    if strategy is None:
        fewer = gram_bytes(sizes) < gather_bytes(sizes)
        strategy = "gram" if fits and fewer else "gather"
        reason = "it moves fewer bytes"
        if fewer and not fits:
            reason = "the Gram matrix takes more than half of the memory"
    elif strategy == "gram" and not fits:
        raise DataContractError(
            f"The similarities of {sizes.n_images:,} images take"
            f" {_size(sizes.gram_matrix_bytes)}; they must fit in half of the"
            f" {_size(memory)} of memory. Allow more with --memory, or gather."
        )
    moved = min(gather_bytes(sizes), gram_bytes(sizes))
    if backend is None:
        large = moved > _TORCH_FROM and find_spec("torch") is not None
        backend = "torch" if large or device != "cpu" else "numpy"
    if backend == "numpy" and device != "cpu":
        raise DataContractError(
            f"'device' is {device!r}; NumPy has the CPU only. Leave the device out, or"
            " take torch."
        )
    cached = (strategy, backend, device) == ("gather", "torch", "cpu")
    return Plan(
        strategy=strategy,
        backend=backend,
        device=device,
        columns=_columns(sizes, memory, in_cache=cached),
        memory=memory,
        sizes=sizes,
        reason=reason,
    )


def _columns(sizes: Sizes, memory: int, *, in_cache: bool) -> int:
    """Return how many features of every image to hold at once."""
    column = 4 * max(1, sizes.n_images)
    most = memory // 2 // column
    if most < 1:
        raise DataContractError(
            f"{_size(memory)} of memory do not hold one feature of {sizes.n_images:,}"
            f" images twice; they must. Allow at least {_size(2 * column)}."
        )
    wanted = sizes.n_features
    if in_cache:
        fit = [one for one in _CACHED_COLUMNS if one * column <= _SLAB_BYTES]
        wanted = min([wanted, *fit[:1]])
    return max(1, min(wanted, most))


def _size(n_bytes: int) -> str:
    """Return a number of bytes as people write it."""
    amount = float(n_bytes)
    for name in ("B", "kB", "MB", "GB"):
        if amount < 1000:
            return f"{amount:.3g} {name}"
        amount /= 1000
    return f"{amount:,.3g} TB"
