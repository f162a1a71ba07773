"""The line from photographs to a compiled study, on images small enough for a test."""

from pathlib import Path

from PIL import Image

STEPS = """
import sys
from pathlib import Path
import unitscope

photographs, out, batch_size = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
step = {name: str(out / name) for name in
        ("images", "recording", "tasks", "scores", "selection", "study")}
for command in (
    ["images", "--folder", str(photographs), "--out", step["images"]],
    ["record", "--images", step["images"], "--layers", "_blocks.2,_blocks.10",
     "--n-extremes", "12", "--batch-size", batch_size, "--seed", "3",
     "--out", step["recording"]],
    ["tasks", step["recording"], "--n-tasks", "4", "--n-explanations", "2",
     "--seed", "3", "--out", step["tasks"]],
    ["score", step["tasks"], "--images", step["images"], "--encoder",
     "efficientnet-lite2", "--features", str(out / "features"), "--out",
     step["scores"]],
    ["select", "--scores", step["scores"], "--n", "3", "--seed", "3", "--out",
     step["selection"]],
    ["compile", step["tasks"], "--images", step["images"], "--selection",
     step["selection"], "--scores", step["scores"], "--study-id", "twice",
     "--slots", "24", "--main-trials", "9", "--catch-trials", "2", "--seed", "3",
     "--out", step["study"]],
):
    status = unitscope.main(command)
    if status:
        sys.exit(f"{command[0]} ended with {status}")
"""
"""A program for a process of its own: PHOTOGRAPHS OUT BATCH_SIZE."""


def crop_photographs(root: Path) -> Path:
    """Cut the photographs that a package ships into 36 small, real, distinct ones."""
    import skimage

    source = Path(skimage.__file__).parent / "data"
    for name in ("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg"):
        image = Image.open(source / name).convert("RGB").resize((390, 390))
        for corner in range(9):
            left, top = 130 * (corner % 3), 130 * (corner // 3)
            crop = image.crop((left, top, left + 130, top + 130))
            crop.save(root / f"{name.partition('.')[0]}-{corner}.png")
    return root
