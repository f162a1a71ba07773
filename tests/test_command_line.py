"""The command line: what it lists, what it loads, and how it says no."""

import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import unitscope

HEAVY = {
    "PIL",
    "flask",
    "matplotlib",
    "numpy",
    "pandas",
    "pandera",
    "pyarrow",
    "pydantic",
    "rich",
    "scipy",
    "sqlalchemy",
    "torch",
}


def run_installed(*arguments, cwd):
    """Run the installed program as a shell would."""
    program = Path(sys.executable).with_name("unitscope")
    return subprocess.run(
        [program, *arguments], capture_output=True, text=True, cwd=cwd, check=False
    )


def test_help_lists_every_command_with_what_it_does(capsys):
    assert unitscope.main(["--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    for name, (_, purpose) in unitscope.COMMANDS.items():
        assert any(line.split() == [name, *purpose.split()] for line in lines)


def test_help_loads_nothing_heavy():
    code = (
        "import json, sys, unitscope; unitscope.main(['--help']);"
        " print(json.dumps([name.partition('.')[0] for name in sys.modules]))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    loaded = set(json.loads(run.stdout.splitlines()[-1]))
    assert "unitscope" in loaded
    assert not HEAVY & loaded


def test_the_installed_program_works_from_any_folder(tmp_path):
    run = run_installed("--help", cwd=tmp_path)
    assert run.returncode == 0
    assert run.stdout == unitscope.usage() + "\n"


@pytest.mark.parametrize("name", unitscope.COMMANDS)
def test_a_command_tells_its_options(name, capsys):
    with pytest.raises(SystemExit) as stopped:
        unitscope.main([name, "--help"])
    assert stopped.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: unitscope {name} ")


@pytest.mark.parametrize("name", unitscope.COMMANDS)
def test_every_option_of_a_command_is_described(name):
    module, _ = unitscope.COMMANDS[name]
    parser = import_module(module).build_parser()
    silent = [action.dest for action in parser._actions if not action.help]
    assert silent == []


@pytest.mark.parametrize("name", unitscope.COMMANDS)
def test_a_wrong_call_of_a_command_shows_its_usage_and_stops(name, capsys):
    with pytest.raises(SystemExit) as stopped:
        unitscope.main([name, "--no-such-option"])
    assert stopped.value.code == 2
    assert capsys.readouterr().err.startswith(f"usage: unitscope {name} ")


def test_an_unknown_command_is_answered_with_the_nearest_ones(tmp_path):
    run = run_installed("recrod", cwd=tmp_path)
    assert run.returncode == 2
    assert run.stdout == ""
    assert run.stderr == "error: 'recrod' is no command. Did you mean 'record'?\n"


def test_no_command_shows_the_usage_and_stops(capsys):
    assert unitscope.main([]) == 2
    assert "usage: unitscope COMMAND" in capsys.readouterr().out


def test_the_version_is_that_of_the_installed_project(capsys):
    from importlib.metadata import version

    assert unitscope.main(["--version"]) == 0
    assert capsys.readouterr().out == f"unitscope {version('unitscope')}\n"


def test_a_reader_that_stops_early_is_no_error():
    command = f"set -o pipefail; {sys.executable} -m analysis.validate | head -1"
    done = subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    assert done.returncode == 0
