import pytest

from data.errors import DataContractError
from data.package_networks import is_package_network
from data.weights import put_state, read_state

torch = pytest.importorskip("torch", reason="needs the extra 'score'")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("timm:resnet50", True),
        ("open_clip:ViT-B-32/openai", True),
        ("torchvision:", True),
        ("torchvision", False),
        ("my_package.timm:network", False),
    ],
)
def test_names_of_packages_are_told_from_functions(name, expected):
    assert is_package_network(name) is expected


def test_a_file_from_before_torch_counted_batches_fits(tmp_path):
    state = torch.nn.BatchNorm2d(2).state_dict()
    del state["num_batches_tracked"]
    plain = dict(state)  # without the version that torch writes beside it
    plain["weight"] = torch.tensor([2.0, 3.0])
    torch.save(plain, tmp_path / "old.pth")
    norm = torch.nn.BatchNorm2d(2)
    path = tmp_path / "old.pth"
    put_state(norm, read_state(path), path, "norm")
    assert norm.weight.tolist() == [2, 3]


def test_what_is_no_state_is_refused(tmp_path):
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(DataContractError, match="list; it must hold a state dict"):
        read_state(tmp_path / "list.pth")


def test_a_state_with_a_name_too_many_is_refused(tmp_path):
    state = torch.nn.Linear(2, 1).state_dict() | {"extra": torch.zeros(1)}
    with pytest.raises(
        DataContractError, match=r"'small': 0 .*1 are too many.*'extra'"
    ):
        put_state(torch.nn.Linear(2, 1), state, tmp_path / "x.pth", "small")
