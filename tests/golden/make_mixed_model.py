"""Make mixed_model.json with GPBoost: python tests/golden/make_mixed_model.py.

GPBoost is no dependency; install it in an environment of its own.
"""

import json
from pathlib import Path

import gpboost
import numpy as np

N_UNITS, N_PARTICIPANTS, N_EACH = 40, 60, 30


def main() -> None:
    """Simulate answers, fit them with GPBoost and write both."""
    rng = np.random.default_rng(7)
    of_unit = rng.normal(0, 0.9, N_UNITS)
    of_participant = rng.normal(0, 0.7, N_PARTICIPANTS)
    unit = np.concatenate(
        [rng.permutation(N_UNITS)[:N_EACH] for _ in range(N_PARTICIPANTS)]
    )
    participant = np.repeat(np.arange(N_PARTICIPANTS), N_EACH)
    easiest = unit % 2
    log_odds = 1.2 + 0.5 * easiest + of_unit[unit] + of_participant[participant]
    correct = (rng.random(len(unit)) < 1 / (1 + np.exp(-log_odds))).astype(int)
    model = gpboost.GPModel(
        group_data=np.c_[unit, participant],
        likelihood="bernoulli_logit",
        matrix_inversion_method="cholesky",
    )
    model.fit(
        y=correct.astype(float),
        X=np.c_[np.ones(len(unit)), easiest].astype(float),
        params={"optimizer_cov": "lbfgs", "delta_rel_conv": 1e-10, "maxit": 2000},
    )
    content = {
        "made_by": {
            "program": "gpboost",
            "version": gpboost.__version__,
            "call": "GPModel(group_data=…, likelihood='bernoulli_logit').fit(y, X)",
        },
        "unit": unit.tolist(),
        "participant": participant.tolist(),
        "easiest": easiest.tolist(),
        "correct": correct.tolist(),
        "fixed": np.ravel(model.get_coef()).tolist(),
        "variances": np.ravel(model.get_cov_pars()).tolist(),
        "criterion": float(model.get_current_neg_log_likelihood()),
    }
    path = Path(__file__).with_name("mixed_model.json")
    path.write_text(json.dumps(content) + "\n")


if __name__ == "__main__":
    main()
