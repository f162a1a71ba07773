"""What the released tables of Borowski et al. 2021 hold, and what we read them as."""

import numpy as np
import pandera.pandas as pa


def _one_of(*values: str, nullable: bool = False) -> pa.Column:
    described = "one of " + ", ".join(values)
    return pa.Column(
        str, pa.Check.isin(values), nullable=nullable, description=described
    )


def _text() -> pa.Column:
    return pa.Column(str, description="text")


def _whole(low: int, *, nullable: bool = False) -> pa.Column:
    return pa.Column(
        "Int64",
        pa.Check.ge(low),
        nullable=nullable,
        description=f"a whole number of at least {low}",
    )


def _flag() -> pa.Column:
    return pa.Column("boolean", description="True or False")


_SHARED: dict[str, pa.Column] = {
    "trial_nr": _whole(0),
    "block_nr": _whole(0),
    "instr_type": _one_of("natural", "optimized", "none_pre", "none_post"),
    "trial_type": _one_of("practice", "main", "repeated"),
    "catch_trial": _flag(),
    "batch": _whole(0),
    "layer": _text(),
    "kernel_size": _text(),
    "channel": _text(),
    "query_order": _one_of("max_min", "min_max"),
    "correct": _flag(),
    "conf_rating": pa.Column(
        "Int64",
        pa.Check.isin([-3, -2, -1, 1, 2, 3]),
        description="-3 to -1 or 1 to 3",
    ),
    "RT": pa.Column(
        "float64",
        pa.Check(np.isfinite, error="finite"),
        description="a finite number of seconds",
    ),
    "timeout": _flag(),
    "response": _one_of("a", "b"),
    "correct_response": _one_of("a", "b"),
    "old_trial_nr": pa.Column(
        "float64", pa.Check.ge(0), nullable=True, description="a number, or empty"
    ),
    "unit_name": _text(),
    "subject_id": _whole(0),
}


_SECOND: dict[str, pa.Column] = {
    "batch_block": _text(),
    "instruction_grid_mode": _one_of("min_max", "max_max"),
    "n_instruction_patches": _whole(1),
    "expert_level": _one_of("expert", "naive"),
}


EXPERIMENT_1 = pa.DataFrameSchema(
    _SHARED, coerce=True, name="a table of Borowski et al. 2021, Experiment I"
)


EXPERIMENT_2 = pa.DataFrameSchema(
    _SHARED | _SECOND,
    coerce=True,
    name="a table of Borowski et al. 2021, Experiment II",
)
"""The released columns that are read; others are ignored."""


CONDITIONS = pa.DataFrameSchema(
    {
        "experiment": _one_of("I", "II"),
        "condition": _one_of("natural", "synthetic", "none_pre", "none_post"),
        "grid_mode": _one_of("min_max", "max", "none"),
        "n_explanations": _whole(0),
        "expert_level": _one_of("expert", "lay", nullable=True),
        "unit_selection": _one_of("random", "hand_picked"),
        "block": _whole(0),
        "repeat_of": _whole(0, nullable=True),
    },
    coerce=True,
    name="the conditions of Borowski et al. 2021",
)
"""What the response table of these experiments has beside our own columns.

'condition' is the explanation method, or which of the two blocks without explanations
a trial was in: before ('none_pre') or after ('none_post') those with. 'grid_mode':
explanations of both polarities were shown ('min_max'), or positive ones only ('max').
'n_explanations' counts those of one polarity. 'expert_level' is empty in Experiment I.
'block' is the authors' ``block_nr``. 'repeat_of' is the 'trial_index' of the main
trial that a trial of the kind 'repeated' shows again.
"""


CELL = ("experiment", "condition", "grid_mode", "n_explanations", "expert_level")
"""The columns that name a cell of the two designs."""
