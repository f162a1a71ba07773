"""A plan is arithmetic on rates, and says that it is a plan."""

import pytest

from data.errors import DataContractError
from stimuli.sweep_command import main
from stimuli.sweep_plan import Rates, plan_of, read_rates


def test_a_plan_adds_up():
    rates = Rates(
        n_networks=10,
        n_images=36_000,
        n_units=7_200,
        n_gpus=2,
        forward_images_per_s=100,
        record_overhead=0.5,
        decode_images_per_s=30,
        encoder_images_per_s=20,
        score_units_per_s=1,
    )
    plan = plan_of(rates)
    assert plan.record_gpu_hours == pytest.approx(1.5)
    assert plan.encode_gpu_hours == pytest.approx(0.5)
    assert plan.score_hours == pytest.approx(2)
    assert plan.days == pytest.approx(4 / 2 / 24)
    assert plan.cores_per_gpu == 3
    assert plan.n_tasks == 144_000
    assert plan.recordings == 7_200 * 3_250
    assert plan.tasks == 7_200 * 1_600
    assert plan.features == 36_000 * 1_792 * 2


def test_networks_that_share_a_decoding_need_fewer_cores():
    alone, four = (plan_of(Rates(together=one)).cores_per_gpu for one in (1, 4))
    assert four < alone


def test_the_papers_sweep_takes_about_the_papers_hours():
    plan = plan_of(Rates(record_overhead=0))
    assert plan.record_gpu_hours == pytest.approx(1000, rel=0.02)


def test_the_command_prints_a_plan_that_says_so(tmp_path, capsys):
    path = tmp_path / "rates.toml"
    path.write_text("n_gpus = 4\nforward_images_per_s = 3000\n")
    assert main(["--plan", str(path)]) == 0
    said = capsys.readouterr().out
    assert "A plan, computed from the rates below; nothing was run" in said
    assert "forward_images_per_s = 3000" in said


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("gpus = 4", r"has the entries \['gpus'\]"),
        ("n_gpus = 0", "'n_gpus' is 0; it must be a number above 0"),
        ('n_gpus = "8"', "'n_gpus' is '8'; it must be a number above 0"),
        ("n_gpus", "is no TOML"),
    ],
)
def test_wrong_rates_are_refused(tmp_path, text, message):
    path = tmp_path / "rates.toml"
    path.write_text(text)
    with pytest.raises(DataContractError, match=message):
        read_rates(path)


def test_a_sweep_without_its_models_is_refused(capsys):
    assert main([]) == 2
    assert "models.toml is missing" in capsys.readouterr().err
