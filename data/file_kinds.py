"""What a file or folder is, told from its first lines, so that none is guessed."""

import csv
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from data.errors import DataContractError
from data.formats import PREFIX

_FORMATS: Mapping[str, tuple[str, str]] = {
    "images": ("an image set", "'unitscope record' reads it."),
    "recording": ("a recording of activations", "'unitscope tasks' reads it."),
    "tasks": ("a set of tasks", "'unitscope score' reads it."),
    "scores": ("a folder of machine scores", "Give it as the scores."),
    "selection": ("a selection of units", "Give it with --selection."),
    "study": ("a compiled study", "'unitscope serve' reads it."),
    "responses": ("an export of responses", ""),
    "report": ("a report", "Give the responses that it was made from."),
    "published": ("published values", ""),
}

_BOROWSKI = {"instr_type", "trial_type", "query_order", "conf_rating", "RT"}
_BOROWSKI_2 = {"batch_block", "instruction_grid_mode", "n_instruction_patches"}
_RATINGS = {"trial_name", "rating", "subject_id"}
_IMI = {"task_id", "response_index", "switched_queries", "is_demo", "choice"}
# Three of a set's columns name a study; its reader then says which one is missing.
_OURS = {"session_id", "trial_index", "unit", "correct"}


@dataclass(frozen=True, kw_only=True)
class FileKind:
    """What something on the disk is.

    Attributes
    ----------
    name : str
        ``"export"``, ``"imi"``, ``"borowski_1"``, ``"borowski_2"`` (answers);
        ``"borowski_folder"``, ``"imi_folder"`` (folders with such CSVs);
        ``"borowski_ratings"``, ``"response_table"``, ``"score_table"``,
        ``"prolific"``, ``"mturk"``; the format in a Unitscope header, such as
        ``"scores"``; or ``"unknown"``.
    words : str
        The same for a reader, with its article.
    advice : str
        What it is for, or empty; a sentence.
    """

    name: str
    words: str
    advice: str = ""


def file_kind(path: Path) -> FileKind:
    """Look at a path and say what kind of file or folder it is.

    Only headers are read: a known kind may still break its schema.

    Raises
    ------
    DataContractError
        There is nothing at ``path``.
    """
    path = Path(path)
    if not path.exists():
        raise DataContractError(
            f"{path} does not exist. Check the path, or run the step that writes it."
        )
    if path.is_dir():
        return _folder_kind(path)
    if path.stat().st_size == 0:
        return FileKind(name="unknown", words="an empty file")
    with path.open("rb") as file:
        start = file.read(4)
    if start == b"PAR1":
        return _parquet_kind(path)
    if start[:2] == b"PK":
        return _zip_kind(path)
    if start[:1] == b"\x80":
        return FileKind(
            name="unknown",
            words="a Python pickle, which may run code when it is read",
            advice="Give the .csv that was released beside it.",
        )
    if path.suffix == ".json":
        return _json_kind(path)
    return _table_kind(path)


def _folder_kind(folder: Path) -> FileKind:
    headers = [_header_format(file) for file in sorted(folder.glob("*.json"))]
    formats = [name for name in headers if name]
    if formats:
        known = [name for name in formats if name in _FORMATS]
        name = (known or formats)[0]
        words, advice = _FORMATS.get(name, (f"a folder with a {name}", ""))
        return FileKind(
            name="export" if name == "responses" else name, words=words, advice=advice
        )
    inside = {file_kind(file).name for file in sorted(folder.glob("*.csv"))}
    if inside & {"borowski_1", "borowski_2"} and "imi" in inside:
        return FileKind(
            name="unknown",
            words="a folder with answers of two studies",
            advice="Name one of its files.",
        )
    if inside & {"borowski_1", "borowski_2"}:
        return FileKind(
            name="borowski_folder",
            words="a folder with the answers of Borowski et al. 2021",
            advice="Give it with --borowski, or name one of its files.",
        )
    if "imi" in inside:
        return FileKind(
            name="imi_folder",
            words="a folder with IMI's response tables",
            advice="Name one of them, such as responses_main.csv.",
        )
    if not any(folder.iterdir()):
        return FileKind(name="unknown", words="an empty folder")
    return FileKind(name="unknown", words="a folder that holds no known table")


def _header_format(path: Path) -> str | None:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    named = content.get("format") if isinstance(content, dict) else None
    if not isinstance(named, str) or not named.startswith(PREFIX):
        return None
    return named.removeprefix(PREFIX)


def _json_kind(path: Path) -> FileKind:
    name = _header_format(path)
    if name is None:
        return FileKind(name="unknown", words="a JSON file without Unitscope's header")
    words, _ = _FORMATS.get(name, (f"a {name}", ""))
    return FileKind(
        name=name,
        words=f"the header of {words}",
        advice="Give the folder that it lies in.",
    )


def _parquet_kind(path: Path) -> FileKind:
    import pyarrow.parquet as parquet

    try:
        columns = set(parquet.read_schema(path).names)
    except (OSError, ValueError):
        return FileKind(
            name="unknown", words="a Parquet file that was cut off or is broken"
        )
    if columns >= _OURS:
        return FileKind(
            name="response_table",
            words="the response table of an export",
            advice="Give the folder that it lies in: the sessions belong to it.",
        )
    return _by_columns(columns, "Parquet table")


def _zip_kind(path: Path) -> FileKind:
    what = "an Excel workbook" if path.suffix == ".xlsx" else "a ZIP archive"
    advice = "Save it as CSV." if path.suffix == ".xlsx" else "Unpack it first."
    return FileKind(name="unknown", words=what, advice=advice)


def _table_kind(path: Path) -> FileKind:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            header = next(csv.reader([file.readline()]), [])
    except UnicodeDecodeError:
        return FileKind(name="unknown", words="no text in UTF-8")
    for separator, words in {";": "semicolons", "\t": "tabs"}.items():
        parts = set(header[0].split(separator)) if header else set()
        if len(parts) > 1 and _by_columns(parts, "").name != "unknown":
            return FileKind(
                name="unknown",
                words=f"a table whose columns are separated by {words}",
                advice="Export it with commas, and with decimal points in numbers.",
            )
    if len(header) < 2:
        return FileKind(name="unknown", words="no table with a header")
    return _by_columns(set(header), "CSV")


def _by_columns(columns: set[str], form: str) -> FileKind:
    imi, borowski = (len(columns & known) >= 3 for known in (_IMI, _BOROWSKI))
    if imi and borowski:
        return FileKind(
            name="unknown",
            words=f"a {form} that mixes columns of IMI and of Borowski et al. 2021",
            advice="Give the released files one by one.",
        )
    if imi:
        return FileKind(name="imi", words="a table of answers in IMI's form")
    if borowski:
        return _borowski_kind(columns)
    if columns >= _RATINGS:
        return FileKind(
            name="borowski_ratings",
            words="a table of intuitiveness ratings by Borowski et al. 2021",
            advice="Give the file of main trials that lies beside it.",
        )
    if {"unit", "mis"} <= columns:
        return FileKind(
            name="score_table",
            words="a table of machine scores",
            advice="Give it as the scores.",
        )
    if columns >= _OURS:
        return FileKind(
            name="response_table",
            words="a response table without its sessions",
            advice="Give the folder that 'unitscope export' wrote.",
        )
    if {"Submission id", "Participant id"} <= columns:
        return FileKind(
            name="prolific",
            words="a Prolific export, which holds no answers",
            advice="Export the study's answers from its server.",
        )
    if {"HITId", "WorkerId"} <= columns:
        return FileKind(
            name="mturk",
            words="an MTurk batch file",
            advice="Give the table of answers that was made from it.",
        )
    shown = ", ".join(sorted(columns)[:5])
    return FileKind(
        name="unknown", words=f"a {form} with unknown columns such as {shown}"
    )


def _borowski_kind(columns: set[str]) -> FileKind:
    second = columns & _BOROWSKI_2
    if second and second != _BOROWSKI_2:
        lacking = sorted(_BOROWSKI_2 - second)
        return FileKind(
            name="unknown",
            words=f"a table of Borowski et al. 2021, Experiment II, without {lacking}",
            advice="Give the file as it was released.",
        )
    number = 2 if second else 1
    return FileKind(
        name=f"borowski_{number}",
        words=f"the answers of Borowski et al. 2021, Experiment {'I' * number}",
    )
