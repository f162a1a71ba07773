"""Write group_comparison.json: values for analysis.comparison by other programs.

Run from the root: python tests/golden/make_group_comparison.py
"""

import json
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import pingouin as pg

rng = np.random.default_rng(7)
CASES = {
    "three groups with ties": {
        "hardest": (rng.binomial(20, 0.55, 12) / 20).tolist(),
        "random": (rng.binomial(20, 0.75, 15) / 20).tolist(),
        "easiest": (rng.binomial(20, 0.9, 9) / 20).tolist(),
    },
    "five groups without ties": {
        name: rng.normal(mean, 1, 8 + 3 * place).round(6).tolist()
        for place, (name, mean) in enumerate(
            zip("abcde", (0.0, 0.2, 0.9, 1.0, 0.1), strict=True)
        )
    },
}


def main():
    cases = []
    for name, groups in CASES.items():
        table = pd.DataFrame(
            [(group, value) for group, values in groups.items() for value in values],
            columns=["group", "his"],
        )
        found = pg.kruskal(table, dv="his", between="group").iloc[0]
        cases.append(
            {
                "name": name,
                "groups": groups,
                "kruskal_h": float(found["H"]),
                "kruskal_p": float(found.filter(regex="^p").iloc[0]),
                "kruskal_df": int(found["ddof1"]),
            }
        )
    made_by = {
        "program": "pingouin",
        "version": version("pingouin"),
        "call": "pingouin.kruskal(table, dv='his', between='group')",
    }
    path = Path(__file__).with_name("group_comparison.json")
    path.write_text(json.dumps({"made_by": made_by, "cases": cases}, indent=1) + "\n")


if __name__ == "__main__":
    main()
