"""The code of a function is told by its file, without running it."""

import pytest

from data.files import file_hash
from data.functions import source_hash


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def test_the_hash_is_of_the_module_in_the_current_folder(here):
    (here / "my_own_network.py").write_text("raise RuntimeError('was run')")
    found = source_hash("my_own_network:net")
    assert found == file_hash(here / "my_own_network.py")


@pytest.mark.parametrize("file", ["nets.py", "nets/__init__.py"])
def test_a_package_is_not_run_to_find_a_module_in_it(here, file):
    folder = here / f"my_own_package_{file.count('/')}"
    (folder / file).parent.mkdir(parents=True)
    (folder / "__init__.py").write_text("raise RuntimeError('was run')")
    (folder / file).write_text("net = 1")
    assert source_hash(f"{folder.name}.nets:net") == file_hash(folder / file)


@pytest.mark.parametrize("name", ["no_such:net", "tests.no_such:net", "sys:exit", ""])
def test_what_has_no_file_has_no_hash(here, name):
    assert source_hash(name) is None
