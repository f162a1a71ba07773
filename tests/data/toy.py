"""A recording made from activations that a test writes down."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from data.formats import Header
from data.recordings import Recording, tie_keys
from data.units import UnitId


def recording_of(
    values: NDArray[np.floating], *, n_extremes: int, seed: int = 0, full: bool = False
) -> Recording:
    """Rank (n_units, n_images) activations by a full sort."""
    values = values.astype(np.float32)
    n_units, n_images = values.shape
    units = tuple(UnitId("toy", "layer", channel) for channel in range(n_units))
    keys = tie_keys(units, np.arange(n_images), seed=seed)

    order = [np.lexsort((keys[row], values[row])) for row in range(n_units)]
    ascending = np.array(order, dtype=np.int32)
    top = ascending[:, ::-1][:, :n_extremes]
    bottom = ascending[:, :n_extremes]
    low = values.min(axis=1, keepdims=True)
    return Recording(
        units=units,
        image_ids=tuple(f"{index:05d}.png" for index in range(n_images)),
        content=tuple(f"{index:064x}" for index in range(n_images)),
        top_index=top,
        top_value=np.take_along_axis(values, top, axis=1),
        bottom_index=bottom,
        bottom_value=np.take_along_axis(values, bottom, axis=1),
        statistics=pd.DataFrame(
            {
                "unit": [str(unit) for unit in units],
                "minimum": values.min(axis=1).astype(float),
                "maximum": values.max(axis=1).astype(float),
                "mean": values.mean(axis=1, dtype=float),
                "sd": values.std(axis=1, dtype=float),
                "share_at_minimum": (values == low).mean(axis=1),
            }
        ),
        full=dict(zip(units, values, strict=True)) if full else {},
        header=Header(format="recording", version=1, config={}, seed=seed),
    )
