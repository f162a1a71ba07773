"""What a study is planned from: the variances of published studies or of a pilot."""

from collections.abc import Mapping

from scipy.optimize import brentq

from analysis.inclusion import Inclusion
from analysis.mixed_model import mixed_model
from analysis.simulated_studies import Variances, his_spread
from data.errors import DataContractError
from data.published import read_imi_model_scores

IMI_ANSWERS = 30


BOROWSKI_CORRELATION = 0.78


BOROWSKI_PARTICIPANT_SD = 0.25


BOROWSKI: Mapping[str, tuple[float, float]] = {
    "natural": (0.922, 1.35),
    "synthetic": (0.820, 0.73),
}
"""HIS and SD between units (log odds) of Experiment I, by :func:`mixed_model`."""


ENOUGH_RANDOM = 10


NORMAL_95 = 1.959964


def imi_variances(
    *, explanation_method: str = "natural", step: float, correlation: float | None
) -> Variances:
    """Return what IMI's nine models show: the median over models.

    The spread between units that the published intervals imply holds the chance of
    30 answers; that is taken out.
    """
    table = read_imi_model_scores().table
    table = table[table["explanation_method"] == explanation_method]
    sd = (table["ci_high"] - table["ci_low"]) / 2 / NORMAL_95 * table["n_units"] ** 0.5
    mean = float(table["his"].median())
    observed = float(sd.median()) ** 2
    chance = mean * (1 - mean) / IMI_ANSWERS
    true = (observed - chance) / (1 - 1 / IMI_ANSWERS)
    r = BOROWSKI_CORRELATION if correlation is None else correlation
    return Variances(
        mean=mean,
        sd_unit=_sd_unit_of(mean, true**0.5, BOROWSKI_PARTICIPANT_SD),
        sd_participant=BOROWSKI_PARTICIPANT_SD,
        correlation=r,
        step=step,
        source=(
            f"IMI, nine models, {explanation_method}: median HIS {mean:.3f}, SD between"
            f" units {true**0.5:.3f} without the chance of {IMI_ANSWERS} answers;"
            " participants as in Borowski et al. 2021, synthetic"
        ),
    )


def borowski_variances(
    *, explanation_method: str = "natural", step: float, correlation: float | None
) -> Variances:
    """Return what Experiment I shows.

    With natural explanations its ten participants differ no more than chance makes
    them; those of the synthetic condition, who differ more, stand for both.
    """
    mean, sd_unit = BOROWSKI[explanation_method]
    return Variances(
        mean=mean,
        sd_unit=sd_unit,
        sd_participant=BOROWSKI_PARTICIPANT_SD,
        correlation=BOROWSKI_CORRELATION if correlation is None else correlation,
        step=step,
        source=(
            f"Borowski et al. 2021, Experiment I, {explanation_method}: mixed model of"
            " 450 answers of 10 people to 45 units; participants as in its synthetic"
            " condition"
        ),
    )


def pilot_variances(
    inclusion: Inclusion, *, step: float, correlation: float | None
) -> Variances:
    """Estimate the variances of a pilot, from its random units where it has enough.

    Raises
    ------
    DataContractError
        The pilot is too small, or its answers do not allow a mixed model.
    """
    main = inclusion.main
    chosen = main[main["group"] == "random"]
    which = "its random units"
    if chosen["unit"].nunique() < ENOUGH_RANDOM:
        chosen, which = main, "all its units"
    columns = ["unit", "participant_id", "session_id", "correct"]
    fit = mixed_model(chosen[columns])
    if fit.sd_unit is None:
        raise DataContractError(
            f"The pilot gives no variances: {fit.note}. Take a larger pilot, or"
            " --published imi."
        )
    mean = float(chosen.groupby("unit")["correct"].mean().mean())
    if not 0.5 < mean < 0.98:
        raise DataContractError(
            f"The pilot's HIS is {mean:.3f}; to plan by, it must be above chance, 0.5,"
            " and below 0.98. Take another condition, or --published imi."
        )
    simulated = inclusion.simulated_notice
    return Variances(
        mean=mean,
        sd_unit=fit.sd_unit,
        sd_participant=fit.sd_participant or 0.0,
        correlation=BOROWSKI_CORRELATION if correlation is None else correlation,
        step=step,
        source=(
            f"the pilot, {which}: mixed model of {fit.n_trials} answers of"
            f" {fit.n_participants} participants to {fit.n_units} units"
            + (f". {simulated.rstrip('.')}" if simulated else "")
        ),
    )


def _sd_unit_of(mean: float, sd_his: float, sd_participant: float) -> float:
    """Return the SD in log odds that spreads HIS by ``sd_his``."""

    def excess(sd_unit: float) -> float:
        variances = Variances(
            mean=mean,
            sd_unit=sd_unit,
            sd_participant=sd_participant,
            correlation=0,
            step=0.01,
            source="",
        )
        return his_spread(variances)[1] - sd_his

    return float(brentq(excess, 1e-3, 10))


def pilot_session(inclusion: Inclusion) -> dict[str, float | int]:
    """Return a pilot session's minutes, main trials and share of excluded ones.

    What the pilot does not tell is left out.
    """
    found: dict[str, float | int] = {}
    judged = inclusion.judged
    steps = inclusion.funnel.set_index("step")["n_sessions"]
    if steps["complete"]:
        found["excluded"] = float(1 - steps["counted"] / steps["complete"])
    times = judged.loc[judged["criterion"] == "total_response_time", "value"]
    # Programs take no time that says anything about people's.
    if times.notna().any() and not inclusion.n_simulated:
        found["minutes"] = float(times.median()) / 60
        trials = inclusion.main.groupby("session_id").size()
        found["trials"] = int(trials.median())
    return found
