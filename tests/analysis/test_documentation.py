import importlib
import re
from pathlib import Path

import pytest

from analysis.validate import build_parser
from tests.documentation import examples_that_fail

README = Path(__file__).resolve().parents[2] / "analysis/README.md"
TEXT = README.read_text(encoding="utf-8")


def test_every_example_prints_what_the_page_says():
    n_blocks, said = examples_that_fail(README)
    assert n_blocks > 15
    assert not said, "".join(said)


NAMED = sorted(set(re.findall(r"`([a-z_]+)\.([a-z_]+)`", TEXT.split("## A small")[0])))


@pytest.mark.parametrize(("module", "function"), NAMED)
def test_every_function_of_the_table_exists(module, function):
    assert callable(getattr(importlib.import_module(f"analysis.{module}"), function))


def test_every_option_that_is_shown_exists():
    commands = re.findall(r"^\$ unitscope validate(.*)$", TEXT, flags=re.MULTILINE)
    known = build_parser().format_help()
    options = {one for line in commands for one in re.findall(r"--[a-z-]+", line)}
    assert options
    assert all(one in known for one in options)
