import importlib
import re
from pathlib import Path

import pytest

from tests.documentation import examples_that_fail

README = Path(__file__).resolve().parents[2] / "data/README.md"
NAMED = sorted(set(re.findall(r"`data\.(\w+)\.(\w+)`", README.read_text("utf-8"))))


def test_every_example_prints_what_the_page_says():
    n_blocks, said = examples_that_fail(README)
    assert n_blocks == 3
    assert not said, "".join(said)


@pytest.mark.parametrize(("module", "name"), NAMED)
def test_every_reader_that_is_named_exists(module, name):
    assert callable(getattr(importlib.import_module(f"data.{module}"), name))
