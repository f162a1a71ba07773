import json
import socket

import pytest

import unitscope
from data.errors import DataContractError, NetworkError
from data.fetch import (
    Connection,
    fetch_file,
    is_fetched,
    needed_bytes,
    record_files,
)
from tests.data.archive import CONTENT, running_archive

QUICK = Connection(timeout_s=5, pause_s=0.001, attempts=3)


@pytest.fixture
def archive(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with running_archive() as running:
        yield running


def fetched(archive, folder, **options):
    (file,) = record_files(archive.record_url, QUICK)
    return fetch_file(file, folder, connection=QUICK, **options)


def left_in(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_brought_whole(archive, tmp_path):
    assert fetched(archive, tmp_path / "new").read_bytes() == CONTENT
    assert left_in(tmp_path / "new") == ["responses_main.csv"]


def test_a_download_that_breaks_off_goes_on_where_it_stopped(archive, tmp_path):
    archive.breaks = [100_000, 50_000, None]
    assert fetched(archive, tmp_path).read_bytes() == CONTENT
    assert archive.ranges == [None, "bytes=100000-", "bytes=150000-"]


def test_a_later_call_goes_on_where_an_earlier_one_gave_up(archive, tmp_path):
    archive.breaks = [100_000, 0, 0, 0]
    with pytest.raises(NetworkError, match="broke off at 100000 of 300000 bytes"):
        fetched(archive, tmp_path)
    assert not (tmp_path / "responses_main.csv").exists()
    (file,) = record_files(archive.record_url, QUICK)
    assert needed_bytes([file], tmp_path) == 200_000
    assert fetched(archive, tmp_path).read_bytes() == CONTENT
    assert archive.ranges[-1] == "bytes=100000-"
    assert left_in(tmp_path) == ["responses_main.csv"]


def test_a_server_that_ignores_ranges_sends_everything_anew(archive, tmp_path):
    archive.ignores_range = True
    archive.breaks = [100_000, None]
    assert fetched(archive, tmp_path).read_bytes() == CONTENT


def test_a_server_that_ignores_ranges_and_always_breaks_off_is_given_up(
    archive, tmp_path
):
    archive.ignores_range = True
    archive.breaks = [100_000] * 10
    with pytest.raises(NetworkError, match="went no further in 3 attempts"):
        fetched(archive, tmp_path)
    assert len(archive.ranges) == 4


def test_a_server_that_sends_another_range_is_asked_for_everything(archive, tmp_path):
    archive.shifts_range = 7
    archive.breaks = [100_000, None]
    assert fetched(archive, tmp_path).read_bytes() == CONTENT
    assert archive.ranges == [None, "bytes=100000-", None]


@pytest.mark.parametrize("claimed", [200_000, 400_000])
def test_a_lie_about_the_length_changes_nothing(archive, tmp_path, claimed):
    archive.claimed_length = claimed
    archive.breaks = [None] * 3
    assert fetched(archive, tmp_path).read_bytes() == CONTENT


def test_more_bytes_than_the_record_says_are_refused(archive, tmp_path):
    archive.sent = [CONTENT + b"more"]
    with pytest.raises(NetworkError, match="sends more than the 300000 bytes"):
        fetched(archive, tmp_path)
    assert left_in(tmp_path) == []


def test_wrong_bytes_are_fetched_anew_once(archive, tmp_path):
    archive.sent = [CONTENT[::-1]]
    assert fetched(archive, tmp_path).read_bytes() == CONTENT
    assert archive.ranges == [None, None]


def test_wrong_bytes_twice_leave_nothing(archive, tmp_path):
    archive.content = CONTENT[::-1]
    with pytest.raises(NetworkError, match=r"are not responses_main\.csv: their md5"):
        fetched(archive, tmp_path)
    assert left_in(tmp_path) == []


def test_a_beginning_of_another_state_of_the_file_is_not_kept(archive, tmp_path):
    archive.sent = [CONTENT[::-1]]
    archive.breaks = [100_000, None]
    assert fetched(archive, tmp_path).read_bytes() == CONTENT
    assert archive.ranges == [None, "bytes=100000-", None]


def test_a_part_that_is_too_long_is_fetched_anew(archive, tmp_path):
    archive.breaks = [10, 0, 0, 0]
    with pytest.raises(NetworkError, match="broke off at 10"):
        fetched(archive, tmp_path)
    (part,) = tmp_path.iterdir()
    part.write_bytes(CONTENT + b"more")
    assert fetched(archive, tmp_path).read_bytes() == CONTENT


def test_a_busy_server_is_asked_again(archive, tmp_path):
    archive.statuses = [429, 200, 503]
    assert fetched(archive, tmp_path).read_bytes() == CONTENT


def test_a_file_that_is_gone_is_named(archive, tmp_path):
    archive.statuses = [200, 404]
    with pytest.raises(NetworkError, match="answered 404 Not Found"):
        fetched(archive, tmp_path)


def test_a_file_that_is_there_is_not_fetched_again(archive, tmp_path):
    fetched(archive, tmp_path)
    archive.ranges.clear()
    seen = []
    fetched(archive, tmp_path, report=seen.append)
    assert archive.ranges == []
    assert seen == [300_000]


def test_another_file_of_that_name_is_left_alone(archive, tmp_path):
    (tmp_path / "responses_main.csv").write_text("mine")
    with pytest.raises(DataContractError, match="is not the record's file"):
        fetched(archive, tmp_path)
    assert (tmp_path / "responses_main.csv").read_text() == "mine"


def test_progress_ends_at_the_size_of_the_file(archive, tmp_path):
    archive.breaks = [100_000, None]
    seen = []
    fetched(archive, tmp_path, report=seen.append)
    assert seen[0] == 0
    assert 100_000 in seen
    assert seen[-1] == 300_000


def test_an_empty_file_is_fetched_too(archive, tmp_path):
    archive.content, archive.size = b"", 0
    archive.checksum = "md5:d41d8cd98f00b204e9800998ecf8427e"
    assert fetched(archive, tmp_path).read_bytes() == b""


@pytest.mark.parametrize("name", ["../up.csv", "a/b.csv", ".hidden", ""])
def test_a_name_that_is_no_plain_name_is_refused(archive, name):
    archive.name = name
    with pytest.raises(NetworkError, match="must be a plain name"):
        record_files(archive.record_url, QUICK)


@pytest.mark.parametrize("checksum", ["crc32:00", "md5:", "md5:xyz"])
def test_an_unknown_checksum_is_refused(archive, checksum):
    archive.checksum = checksum
    with pytest.raises(NetworkError, match="the checksum"):
        record_files(archive.record_url, QUICK)


def test_a_size_that_is_no_number_is_refused(archive):
    archive.size = "many"
    with pytest.raises(NetworkError, match="the size 'many'"):
        record_files(archive.record_url, QUICK)


def test_a_login_page_is_no_record(archive):
    archive.record = "<html>Log in</html>"
    with pytest.raises(NetworkError, match=r"did not answer with JSON.*login page"):
        record_files(archive.record_url, QUICK)


@pytest.mark.parametrize("record", ["{}", '{"files": []}', "[]"])
def test_a_record_without_files_is_named(archive, record):
    archive.record = record
    with pytest.raises(NetworkError, match="lists no files"):
        record_files(archive.record_url, QUICK)


def test_an_entry_without_a_link_is_named(archive):
    archive.record = json.dumps(
        {"files": [{"key": "a.csv", "size": 1, "checksum": "md5:00"}]}
    )
    with pytest.raises(NetworkError, match="a file without 'links'"):
        record_files(archive.record_url, QUICK)


def test_a_file_of_the_machine_is_no_web_address(archive):
    archive.record = json.dumps(
        {
            "files": [
                {
                    "key": "a.csv",
                    "size": 1,
                    "checksum": "md5:00",
                    "links": {"self": "file:///etc/passwd"},
                }
            ]
        }
    )
    with pytest.raises(NetworkError, match="is no web address"):
        record_files(archive.record_url, QUICK)


def closed_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def test_an_unreachable_network_is_one_clear_line(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    url = f"http://127.0.0.1:{closed_port()}/api/records/8131197"
    with pytest.raises(
        NetworkError, match=r"can't be reached \(Connection refused\).*/records/8131197"
    ):
        record_files(url, QUICK)


def test_a_silent_server_is_not_waited_for(tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/api/records/1"
        patient = Connection(timeout_s=0.1, pause_s=0, attempts=2)
        with pytest.raises(NetworkError, match=r"can't be reached \(timed out\)"):
            record_files(url, patient)


def test_the_command_fetches_and_tells_what_is_there(archive, tmp_path, capsys):
    arguments = ["fetch", "imi", "--url", archive.record_url, "--out", str(tmp_path)]
    assert unitscope.main(arguments) == 0
    shown = capsys.readouterr()
    assert shown.out == f"{tmp_path}/responses_main.csv  300.0 kB  md5 right\n"
    assert "300.0 kB to come" in shown.err
    (file,) = record_files(archive.record_url, QUICK)
    assert is_fetched(file, tmp_path)


def test_the_command_lists_without_fetching(archive, tmp_path, capsys):
    arguments = ["fetch", "imi", "--url", archive.record_url, "--out", str(tmp_path)]
    assert unitscope.main([*arguments, "--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split() == ["responses_main.csv", "300.0", "kB", "no"]
    assert left_in(tmp_path) == []


def test_a_pattern_that_matches_nothing_is_named(archive, tmp_path, capsys):
    arguments = ["fetch", "imi", "--url", archive.record_url, "--only", "*.txt"]
    assert unitscope.main([*arguments, "--out", str(tmp_path)]) == 2
    assert "--only '*.txt' matches no file" in capsys.readouterr().err
    assert archive.ranges == []


def test_a_broken_download_is_one_line_and_status_2(archive, tmp_path, capsys):
    archive.content = CONTENT[::-1]
    arguments = ["fetch", "imi", "--url", archive.record_url, "--out", str(tmp_path)]
    assert unitscope.main(arguments) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "error: http" in shown.err
    assert "Traceback" not in shown.err


def test_a_file_larger_than_the_disk_is_not_begun(archive, tmp_path, capsys):
    archive.size = 10**18
    arguments = ["fetch", "imi", "--url", archive.record_url, "--out", str(tmp_path)]
    assert unitscope.main(arguments) == 2
    assert "of free space" in capsys.readouterr().err
    assert archive.ranges == []
