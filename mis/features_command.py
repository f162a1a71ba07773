"""The command ``unitscope features``: what is stored, if it is whole, what to drop."""

import argparse
from pathlib import Path

from data.command_line import run_command
from data.errors import DataContractError
from data.images import read_image_set
from mis.feature_stores import FoundStore, fault, found_stores, kept_images, shrink


def build_parser() -> argparse.ArgumentParser:
    """Describe the options."""
    parser = argparse.ArgumentParser(
        prog="unitscope features",
        description="Look after stored image features.",
    )
    parser.add_argument(
        "action",
        choices=["ls", "verify", "gc"],
        help="ls: list the stores; verify: check that each is whole; gc: drop what is"
        " no longer in use",
    )
    parser.add_argument("root", type=Path, help="folder of the feature stores")
    parser.add_argument(
        "--images",
        type=Path,
        nargs="+",
        help="gc: image sets whose images are kept; all others' features go",
    )
    parser.add_argument(
        "--encoder", nargs="+", help="gc: encoders whose stores are kept (default all)"
    )
    parser.add_argument(
        "--delete", action="store_true", help="gc: do it; without, it is only told"
    )
    return parser


def features(arguments: argparse.Namespace) -> int:
    """Run the command."""
    stores = found_stores(arguments.root)
    if arguments.action == "ls":
        for found in stores:
            print(_line(found))
        return 0
    if arguments.action == "verify":
        return _verify(stores)
    return _collect(arguments, stores)


def _line(found: FoundStore) -> str:
    store = found.store
    return (
        f"{found.name}: {found.encoder}, {len(store.rows()):,} images ×"
        f" {store.n_features:,} {found.header.config['dtype']},"
        f" {found.n_bytes / 1e6:,.1f} MB"
    )


def _verify(stores: list[FoundStore]) -> int:
    faults = 0
    for found in stores:
        wrong = fault(found)
        faults += wrong is not None
        print(wrong or f"{found.name}: whole, {len(found.store.rows()):,} images")
    return 1 if faults else 0


def _collect(arguments: argparse.Namespace, stores: list[FoundStore]) -> int:
    if not arguments.images and not arguments.encoder:
        raise DataContractError(
            "Nothing says what to keep; gc needs --images, --encoder or both."
            " Name the image sets that are still in use."
        )
    known: set[str] = set()
    for folder in arguments.images or []:
        known |= set(read_image_set(folder).manifest["sha256"])
    freed = 0
    for found in stores:
        in_use = not arguments.encoder or found.encoder in arguments.encoder
        content = set(found.store.rows()) if not arguments.images else known
        content = content if in_use else set()
        n_before, n_kept = len(found.store.rows()), len(kept_images(found, content))
        if n_kept == n_before and n_before:
            print(f"{found.name}: all {n_before:,} images are kept")
            continue
        before = found.n_bytes
        if arguments.delete:
            shrink(found, content)
        n_gone = n_before - n_kept
        freed += before * n_gone // n_before if n_before else before
        verb = "removed" if arguments.delete else "would be removed"
        what = "the store" if not n_kept else f"{n_gone:,} of {n_before:,} images"
        print(f"{found.name}: {what} {verb}")
    if arguments.delete:
        print(f"{freed / 1e6:,.1f} MB freed")
    else:
        print(f"{freed / 1e6:,.1f} MB could be freed; add --delete to do it")
    return 0


def main(argv: list[str] | None = None) -> int:
    """Run the command. Exit status: 0 done, 1 a store is broken, 2 could not run."""
    return run_command(build_parser(), features, argv)
