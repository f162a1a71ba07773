"""What the README tells to type can be typed."""

import re
import shlex
from importlib import import_module
from pathlib import Path

import pytest

import unitscope
from data.errors import DataContractError

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = [
    shlex.split(line, comments=True)[1:]
    for line in README.splitlines()
    if line.startswith("unitscope ") and "COMMAND" not in line
]


def test_every_command_is_in_the_readme():
    assert {command[0] for command in COMMANDS} == set(unitscope.COMMANDS)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_a_command_in_the_readme_has_the_options_it_names(
    command, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    for folder in re.findall(r"[\w-]+(?=/)", " ".join(command)):
        (tmp_path / folder).mkdir(exist_ok=True)
    module = import_module(unitscope.COMMANDS[command[0]][0])
    try:
        module.build_parser().parse_args(command[1:])
    except SystemExit:
        pytest.fail(f"unitscope {' '.join(command)} is not a command")
    except DataContractError as error:
        pytest.fail(str(error))


def test_every_target_in_the_readme_is_in_the_makefile():
    rules = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in set(re.findall(r"\bmake (\w+)", README)) - {"is"}:
        assert re.search(rf"^{target}:", rules, re.MULTILINE), target


def test_every_file_and_test_that_the_readme_names_is_there():
    named = re.findall(r"`?(?:pytest|python) ([\w/.]+)", README)
    named += re.findall(r"\]\(([\w/.]+)\)", README)
    assert named
    for name in named:
        assert (ROOT / name).exists(), name
