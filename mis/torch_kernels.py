"""The kernels on torch: sums of table rows in one pass, on the CPU or on CUDA."""

from collections.abc import Callable, Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import embedding_bag

from data.errors import DataContractError
from data.tasks import NEGATIVE, POSITIVE
from mis import kernels

Indices = NDArray[np.integer]
Margins = NDArray[np.float32]
Slabs = Iterable[NDArray[np.float32]]

_INT32_MAX = 2**31 - 1
# Units at a time on a device that is not the CPU: it has thousands of threads of its
# own, and memory for what they hold.
_DEVICE_BYTES = 256 * 2**20
_CHUNK_BYTES = 2 * 2**20


def checked_device(name: str) -> torch.device:
    """Return a device that is there.

    Raises
    ------
    DataContractError
        Torch has no such device, or this machine has not.
    """
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        first = str(error).splitlines()[0]
        raise DataContractError(
            f"The device {name!r} can't be used ({first}); it must be one that torch"
            " has on this machine. Leave it out to compute on the CPU."
        ) from error
    return device


class TorchGram:
    """Looks similarities up in the Gram matrix."""

    def __init__(self, slabs: Slabs, n_images: int, device: torch.device) -> None:
        gram = torch.zeros((n_images, n_images), device=device)
        for slab in slabs:
            part = torch.from_numpy(slab).to(device)
            gram.addmm_(part, part.T)
        self._gram, self._n_images, self._device = gram.view(-1, 1), n_images, device

    def __call__(self, queries: Indices, explanations: Indices) -> Margins:
        """Return the margins; see :class:`mis.kernels.Kernel`."""
        margins = np.empty(queries.shape[:2], dtype=np.float32)
        n_explanations = explanations.shape[-1]
        wide = self._n_images**2 > _INT32_MAX
        dtype = torch.int64 if wide else torch.int32

        def work(chunk: slice) -> None:
            first = self._tensor(queries[chunk], dtype) * self._n_images
            where = (
                first[..., None, None]
                + self._tensor(explanations[chunk], dtype)[:, :, None]
            )
            fit = embedding_bag(
                where.view(-1, n_explanations), self._gram, mode="sum"
            ).view(*first.shape, 2)
            preference = fit[..., POSITIVE] - fit[..., NEGATIVE]
            found = preference[..., POSITIVE] - preference[..., NEGATIVE]
            margins[chunk] = (found / n_explanations).cpu().numpy()

        per_unit = 2 * explanations[0].size * (8 if wide else 4)
        _run(work, len(queries), per_unit, self._device)
        return margins

    def _tensor(self, indices: Indices, dtype: torch.dtype) -> Tensor:
        return torch.from_numpy(indices).to(self._device, dtype)


class TorchGather:
    """Sums feature rows, some columns at a time."""

    def __init__(self, slabs: Slabs, device: torch.device) -> None:
        self._slabs, self._device = slabs, device

    def __call__(self, queries: Indices, explanations: Indices) -> Margins:
        """Return the margins; see :class:`mis.kernels.Kernel`."""
        margins = np.zeros(queries.shape[:2], dtype=np.float32)
        query, explanation = _oriented(queries, explanations)
        for slab in self._slabs:
            table = torch.from_numpy(slab).to(self._device)

            def work(chunk: slice, table: Tensor = table) -> None:
                found = _gathered(
                    table,
                    query[chunk].to(self._device),
                    explanation[chunk].to(self._device),
                )
                margins[chunk] += found.cpu().numpy()

            per_unit = queries[0].size * 4 * slab.shape[1]
            _run(work, len(queries), per_unit, self._device)
        margins /= np.float32(explanations.shape[-1])
        return margins


def _oriented(queries: Indices, explanations: Indices) -> tuple[Tensor, Tensor]:
    """Exchange polarities where the positive query has the higher index.

    The margin is the same, and so to the last bit for a task and its mirror image,
    although sums of floats depend on their order.
    """
    query, explanation = torch.from_numpy(queries), torch.from_numpy(explanations)
    mirrored = query[..., POSITIVE] > query[..., NEGATIVE]
    return (
        torch.where(mirrored[..., None], query.flip(2), query),
        torch.where(mirrored[..., None, None], explanation.flip(2), explanation),
    )


def _gathered(table: Tensor, queries: Tensor, explanations: Tensor) -> Tensor:
    n_units, n_tasks, _, n_explanations = explanations.shape
    contrast = _signed_sum(table, explanations.reshape(-1, 2 * n_explanations))
    contrast *= _signed_sum(table, queries.reshape(-1, 2))
    return contrast.sum(dim=1).view(n_units, n_tasks)


def _signed_sum(table: Tensor, rows: Tensor) -> Tensor:
    """Return the sum of the rows in the first half less that of the second."""
    sign = torch.ones(rows.shape[1], device=table.device)
    sign[rows.shape[1] // 2 :] = -1
    signs = sign.expand(len(rows), -1).contiguous()
    return embedding_bag(rows, table, per_sample_weights=signs, mode="sum")


def _run(
    work: Callable[[slice], None], n_units: int, per_unit: int, device: torch.device
) -> None:
    """Work on chunks of units: a thread each on the CPU, one by one elsewhere."""
    if device.type != "cpu":
        for chunk in kernels.cuts(n_units, max(1, _DEVICE_BYTES // per_unit)):
            work(chunk)
        return
    n_threads = torch.get_num_threads()
    chunks = kernels.cuts(n_units, max(1, _CHUNK_BYTES // per_unit))
    try:
        # Torch's own threads wait for each other after every step; chunks need not.
        kernels.in_threads(work, chunks, n_threads, lambda: torch.set_num_threads(1))
    finally:
        torch.set_num_threads(n_threads)
