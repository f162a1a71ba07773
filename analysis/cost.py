"""What a study costs: pay, the platform's fee, and participants' hours."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

CURRENCIES: Mapping[str, str] = MappingProxyType({"GBP": "£", "USD": "$"})


@dataclass(frozen=True, kw_only=True)
class Setting:
    """A number that others set.

    Attributes
    ----------
    value : float
    source : str
    read_on : str or None
        When the page was read; None for what papers and released code give.
    """

    value: float
    source: str
    read_on: str | None = None


PLATFORM_FEES: Mapping[str, Setting] = MappingProxyType(
    {
        "academic": Setting(
            value=0.333,
            source="Prolific, pricing page: academic and non-profit, share of rewards",
            read_on="2026-09-20",
        ),
        "corporate": Setting(
            value=0.428,
            source="Prolific, pricing page: corporate, share of rewards",
            read_on="2026-09-20",
        ),
    }
)
LEAST_PAY: Mapping[str, Setting] = MappingProxyType(
    {
        currency: Setting(
            value=value, source="Prolific: least pay an hour", read_on="2026-09-20"
        )
        for currency, value in (("GBP", 6.0), ("USD", 8.0))
    }
)
ADVISED_PAY: Mapping[str, Setting] = MappingProxyType(
    {
        currency: Setting(
            value=value, source="Prolific: advised pay an hour", read_on="2026-09-20"
        )
        for currency, value in (("GBP", 9.0), ("USD", 12.0))
    }
)
SESSION_MINUTES = Setting(
    value=11.2,
    source=(
        "derived: 2.79 USD for 40 main and 5 catch trials (IMI's released script) at"
        " the 15 USD an hour that Zimmermann et al. 2024 aimed at"
    ),
)
SESSION_TRIALS = 40
"""Main trials that :data:`SESSION_MINUTES` is for."""
FIXED_MINUTES = 2.0
"""Of a session: consent, instructions and practice, whatever its length."""
EXCLUDED = Setting(
    value=0.25,
    source=(
        "derived, rough: IMI's first release has 1,323 sessions that count, from more"
        " than 1,800 participants"
    ),
)


@dataclass(frozen=True, kw_only=True)
class Pay:
    """What participants and the platform get.

    Attributes
    ----------
    per_hour : float
        In ``currency``.
    currency : str
        ``"GBP"`` or ``"USD"``.
    platform_fee : float
        Share of the rewards, at least 0.
    vat : float
        Share of the fee, at least 0; 0 where none is due.
    minutes : float
        Of a session of ``trials`` main trials.
    trials : int
    excluded : float
        Share of sessions that are paid and do not count, in [0, 1).
    """

    per_hour: float
    currency: str = "GBP"
    platform_fee: float = PLATFORM_FEES["academic"].value
    vat: float = 0.0
    minutes: float = SESSION_MINUTES.value
    trials: int = SESSION_TRIALS
    excluded: float = EXCLUDED.value

    def __post_init__(self) -> None:
        """Check the ranges."""
        if self.currency not in CURRENCIES:
            raise ValueError(f"'currency' is {self.currency!r}; it must be GBP or USD.")
        for name in ("per_hour", "platform_fee", "vat"):
            if getattr(self, name) < 0:
                raise ValueError(
                    f"{name!r} is {getattr(self, name)}; it must be at least 0."
                )
        if not 0 <= self.excluded < 1:
            raise ValueError(f"'excluded' is {self.excluded}; it must be in [0, 1).")
        if self.minutes <= 0:
            raise ValueError(f"'minutes' is {self.minutes}; it must be above 0.")

    def session_minutes(self, n_trials: int) -> float:
        """Return how long a session of other length takes."""
        fixed = min(FIXED_MINUTES, self.minutes / 2)
        return fixed + (self.minutes - fixed) * n_trials / self.trials


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What a design costs.

    Attributes
    ----------
    n_paid : int
        Sessions to pay, those that will be excluded among them.
    hours : float
        Of all of them.
    reward : float
        Of one session.
    total : float
        Rewards, fee and VAT on the fee.
    currency : str
    """

    n_paid: int
    hours: float
    reward: float
    total: float
    currency: str


def study_cost(n_participants: int, n_trials: int, pay: Pay) -> Cost:
    """Return what it costs that ``n_participants`` sessions count.

    Rewards are rounded up to a hundredth of the currency.
    """
    n_paid = _rounded_up(n_participants / (1 - pay.excluded))
    minutes = pay.session_minutes(n_trials)
    reward = _rounded_up(100 * pay.per_hour * minutes / 60) / 100
    return Cost(
        n_paid=n_paid,
        hours=n_paid * minutes / 60,
        reward=reward,
        total=n_paid * reward * (1 + pay.platform_fee * (1 + pay.vat)),
        currency=pay.currency,
    )


def pay_warning(pay: Pay) -> str | None:
    """Say where pay is below what the platform allows, or advises."""
    symbol = CURRENCIES[pay.currency]
    least, advised = LEAST_PAY[pay.currency], ADVISED_PAY[pay.currency]
    given = f"{symbol}{pay.per_hour:g} an hour"
    if pay.per_hour < least.value:
        return (
            f"{given} is below {symbol}{least.value:g}, the least that Prolific allows"
            f" (read {least.read_on}); {symbol}{advised.value:g} or more is advised."
        )
    if pay.per_hour < advised.value:
        return (
            f"{given} is below the {symbol}{advised.value:g} that Prolific advises"
            f" (read {advised.read_on})."
        )
    return None


def _rounded_up(value: float) -> int:
    """Round up, but not for what floating point adds to a whole number."""
    return int(-(-round(value, 9) // 1))
