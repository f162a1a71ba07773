import io
import shutil

import pytest
from PIL import Image

from data.errors import MissingExtraError
from experiment_server import browser as chromiums


def program(folder, name):
    """Make something that a shell would run."""
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def places(tmp_path, monkeypatch):
    """An empty search path and an empty place for the packaged Chromium."""
    monkeypatch.delenv(chromiums.VARIABLE, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "installed"))
    monkeypatch.setattr(chromiums, "PACKAGED", tmp_path / "packaged")
    relative = [name for name in chromiums.INSTALLED if not set(name) & set("/\\")]
    monkeypatch.setattr(chromiums, "INSTALLED", tuple(relative))
    return tmp_path


def test_the_packaged_chromium_is_used_where_none_is_installed(places):
    packaged = program(places / "packaged", "chromium")
    assert chromiums.find_chromium() == packaged


def test_an_installed_chrome_is_used_before_the_packaged_one(places):
    program(places / "packaged", "chromium")
    installed = program(places / "installed", "google-chrome")
    assert chromiums.find_chromium() == installed


def test_a_named_chromium_is_used_before_an_installed_one(places, monkeypatch):
    program(places / "installed", "chromium")
    named = program(places / "named", "my-browser")
    monkeypatch.setenv(chromiums.VARIABLE, str(named))
    assert chromiums.find_chromium() == named


def test_a_named_chromium_that_is_none_is_not_passed_over(places, monkeypatch):
    program(places / "installed", "chromium")
    monkeypatch.setenv(chromiums.VARIABLE, str(places / "absent"))
    with pytest.raises(MissingExtraError, match=r"CHROMIUM is '.*absent'; it must be"):
        chromiums.find_chromium()


def test_without_any_chromium_the_remedy_is_told(places, capsys):
    with pytest.raises(MissingExtraError, match=r"none is installed.*'make setup'"):
        chromiums.find_chromium()
    assert chromiums.main() == 2
    assert capsys.readouterr().err.startswith("error: A real browser needs a Chromium")


def test_only_the_packaged_chromium_gets_the_packaged_fonts(places):
    program(places / "packaged", "chromium")
    fonts = str(places / "packaged" / "fonts.conf")
    assert chromiums.launch_options()["env"]["FONTCONFIG_FILE"] == fonts
    program(places / "installed", "chromium")
    assert chromiums.launch_options()["env"].get("FONTCONFIG_FILE") != fonts


def test_the_packaged_libraries_serve_where_the_machine_has_none(places, monkeypatch):
    program(places / "packaged", "chromium")
    monkeypatch.setattr(chromiums, "find_library", lambda name: None)
    monkeypatch.setenv("LD_LIBRARY_PATH", "/already")
    libraries = str(places / "packaged" / "al2023" / "lib")
    environment = chromiums.launch_options()["env"]
    assert environment["LD_LIBRARY_PATH"] == f"{libraries}:/already"


def test_a_page_is_drawn_with_letters_at_the_size_of_the_window(browser):
    page = browser.new_page(viewport={"width": 640, "height": 360})
    page.set_content("<body style='margin:0'><p>A right-hand example</p>")
    drawn = Image.open(io.BytesIO(page.screenshot())).convert("L")
    page.close()
    assert drawn.size == (640, 360)
    assert drawn.getextrema()[0] < 50, "no letter was drawn"


def test_a_page_runs_scripts(browser):
    page = browser.new_page()
    assert page.evaluate("[1, 2, 3].at(-1)") == 3
    page.close()


def test_the_program_found_is_one_that_can_be_run(chromium):
    assert shutil.which(chromium)
