import pytest

from analysis.cost import Pay, pay_warning, study_cost


def test_cost_is_rewards_and_the_fee_and_vat_on_the_fee():
    pay = Pay(per_hour=12, platform_fee=0.5, vat=0.2, minutes=10, excluded=0)
    cost = study_cost(10, 40, pay)
    assert cost.reward == 2.00
    assert cost.total == pytest.approx(10 * 2.00 * (1 + 0.5 * 1.2))
    assert cost.hours == pytest.approx(100 / 60)


def test_sessions_that_will_be_excluded_are_paid_too():
    assert study_cost(60, 40, Pay(per_hour=9, excluded=0.25)).n_paid == 80


def test_nobody_is_paid_for_the_error_of_floating_point():
    assert 21 / (1 - 0.3) > 30
    assert study_cost(21, 40, Pay(per_hour=9, excluded=0.3)).n_paid == 30


def test_rewards_are_rounded_up_to_a_hundredth():
    pay = Pay(per_hour=10, minutes=10, excluded=0)
    assert study_cost(1, 40, pay).reward == 1.67


def test_a_short_session_keeps_its_instructions():
    pay = Pay(per_hour=9, minutes=10, trials=40)
    assert pay.session_minutes(20) == pytest.approx(2 + 8 / 2)


@pytest.mark.parametrize(
    ("per_hour", "currency", "said"),
    [
        (5.99, "GBP", "below £6, the least that Prolific allows"),
        (7.5, "USD", "below $8, the least"),
        (8.99, "GBP", "below the £9 that Prolific advises"),
        (11, "USD", "below the $12 that Prolific advises"),
    ],
)
def test_low_pay_is_warned_of(per_hour, currency, said):
    assert said in pay_warning(Pay(per_hour=per_hour, currency=currency))


@pytest.mark.parametrize(("per_hour", "currency"), [(9, "GBP"), (12, "USD")])
def test_advised_pay_gets_no_warning(per_hour, currency):
    assert pay_warning(Pay(per_hour=per_hour, currency=currency)) is None


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"currency": "EUR"}, "'currency' is 'EUR'; it must be GBP or USD"),
        ({"vat": -0.1}, "'vat' is -0.1; it must be at least 0"),
        ({"excluded": 1}, "'excluded' is 1; it must be in"),
        ({"minutes": 0}, "'minutes' is 0; it must be above 0"),
    ],
)
def test_pay_that_can_not_be_is_refused(wrong, said):
    with pytest.raises(ValueError, match=said):
        Pay(**({"per_hour": 9} | wrong))
