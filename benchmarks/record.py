"""What recording costs beyond the forward passes it is made of.

Each figure stands beside the plain thing in the same run: reading every layer beside
the bare forward pass at the same batch; a whole run beside the time that its network
took; memory against images and units; which extreme images half precision exchanges;
and a run that is killed at random points beside an undisturbed one:

    python benchmarks/record.py [--images FOLDER] [--out artifacts/bench/record.json]

Seconds are of the processor where the machine may be shared; the wall clock's stand
beside them.
"""

import argparse
import hashlib
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image
from rich.console import Console

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from data.files import read_json, write_json
from data.formats import Header, software_versions
from data.images import ImageSet, read_image_set, write_image_set
from data.recordings import Recording, write_recording
from stimuli.layers import matching_paths
from stimuli.networks import Network, load_network
from stimuli.passes import NetworkPass
from stimuli.record import BATCH_SIZE, RecordConfig, record
from stimuli.record_config import Job

NETWORK = "efficientnet-lite0"
ROOT = Path(__file__).resolve().parent.parent


class Timer:
    """Adds up processor and wall seconds of what runs inside it."""

    def __init__(self) -> None:
        self.processor_s = self.wall_s = 0.0
        self.n = 0

    def __enter__(self) -> None:
        self._start = time.process_time(), time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self.processor_s += time.process_time() - self._start[0]
        self.wall_s += time.perf_counter() - self._start[1]
        self.n += 1


def synthetic_images(folder: Path, n: int, *, side: tuple[int, int]) -> ImageSet:
    """Write smooth random pictures as JPEG files, and their image set."""
    rng = np.random.default_rng(0)
    files = folder / "files"
    files.mkdir(parents=True)
    rows = []
    for index in range(n):
        name = f"{index:06d}.jpg"
        coarse = rng.integers(0, 256, size=(7, 7, 3), dtype=np.uint8)
        picture = Image.fromarray(coarse).resize(side, Image.Resampling.BICUBIC)
        picture.save(files / name, quality=90)
        content = hashlib.sha256((files / name).read_bytes()).hexdigest()
        rows.append({"image_id": name, "sha256": content})
    manifest = pd.DataFrame(rows).assign(
        width=side[0], height=side[1], label=None, source=None, licence=None
    )
    header = Header(format="images", version=1, config={})
    write_image_set(folder, root=files, manifest=manifest, header=header)
    return read_image_set(folder)


def first(images: ImageSet, n: int) -> ImageSet:
    """Return the first images of a set."""
    return ImageSet(
        root=images.root, manifest=images.manifest[:n], header=images.header
    )


def overhead(images: ImageSet, n_batches: int) -> dict[str, float]:
    """Time reading and ranking all layers, and the bare pass, batch by batch."""
    network, bare = load_network(NETWORK), load_network(NETWORK).module
    n_extremes = min(200, len(images.image_ids) // 2)
    config = RecordConfig(layers=("@all",), n_extremes=n_extremes)
    job = Job(network=network, config=config)
    one = NetworkPass(images, job, seed=0, batch_size=BATCH_SIZE, device="cpu")
    pixels = torch.stack(
        [network.preprocess(images.load(name)) for name in images.image_ids[:64]]
    )
    rng = torch.Generator().manual_seed(0)
    recording, plain = Timer(), Timer()
    for number in range(n_batches):
        batch = pixels[torch.randint(len(pixels), (BATCH_SIZE,), generator=rng)]
        # The first batch looks at the network and asks it twice; that is paid once.
        with plain if number else Timer(), torch.inference_mode():
            bare(batch)
        with recording if number else Timer():
            one.take(batch)
    one.close()
    n_images = plain.n * BATCH_SIZE
    return {
        "n_images": n_images,
        "n_units": sum(len(stream.units) for stream in one.streams.values()),
        "n_layers": len(one.streams),
        "bare_ms_per_image": 1e3 * plain.processor_s / n_images,
        "recorded_ms_per_image": 1e3 * recording.processor_s / n_images,
        "over": recording.processor_s / plain.processor_s - 1,
        "over_wall": recording.wall_s / plain.wall_s - 1,
    }


def share_in_network(images: ImageSet, layers: str) -> dict[str, float]:
    """Time a whole run, written to disk, and the network inside it."""
    network = load_network(NETWORK)
    inside, whole = Timer(), Timer()
    network.module.register_forward_pre_hook(lambda *_: inside.__enter__())
    network.module.register_forward_hook(lambda *_: inside.__exit__())
    config = RecordConfig(
        layers=(layers,), n_extremes=min(200, len(images.image_ids) // 2)
    )
    with tempfile.TemporaryDirectory() as folder, whole:
        recording, _ = record(images, network, config, seed=0)
        write_recording(Path(folder) / "recording", recording)
    return {
        "layers": len(matching_paths(network.module, layers)),
        "n_images": len(images.image_ids),
        "wall_s": whole.wall_s,
        "in_network_s": inside.wall_s,
        "share": inside.wall_s / whole.wall_s,
    }


class Wide(torch.nn.Module):
    """A cheap network with as many units as are asked for."""

    def __init__(self, n_units: int) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(12, n_units)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return (batch, n_units)."""
        return self.layer(torch.nn.functional.adaptive_avg_pool2d(images, 2).flatten(1))


def wide(n_units: int) -> Network:
    """Return a network for memory's sake, with a preprocessing that costs nothing."""
    torch.manual_seed(0)
    return Network(
        name="wide",
        module=Wide(n_units).eval(),
        preprocess=lambda image: torch.from_numpy(
            np.array(image, dtype=np.float32).transpose(2, 0, 1).copy()
        ),
        weights_hash="",
    )


def peak_in_child(folder: Path, n_images: int, n_units: int) -> dict[str, float]:
    """Record in a process of its own; return its peak memory above a bare start."""
    command = [sys.executable, __file__, "--child", str(folder)]
    command += [str(n_images), str(n_units)]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    return dict(json.loads(found.stdout.splitlines()[-1]))


def peak_bytes() -> int:
    """Return the most memory that this process has held since it was started."""
    # What getrusage tells begins with the peak of the process that forked this one.
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    found = next(line.split() for line in lines if line.startswith("VmHWM:"))
    return int(found[1]) * 1024


def child(folder: Path, n_images: int, n_units: int) -> None:
    """Record a part of an image set and print the peak of memory."""
    images = read_image_set(folder)
    few = first(images, n_images)
    before = peak_bytes()
    config = RecordConfig(layers=("layer",), n_extremes=200)
    start = time.process_time()
    record(few, wide(n_units), config, seed=0, batch_size=32)
    taken = time.process_time() - start
    peak = peak_bytes()
    numbers = {
        "n_images": n_images,
        "n_units": n_units,
        "peak_mb": peak / 1e6,
        "above_start_mb": (peak - before) / 1e6,
        "processor_s": taken,
    }
    sys.stdout.write(json.dumps(numbers) + "\n")


def slope(rows: list[dict[str, float]], along: str, of: str) -> float:
    """Return the slope of a straight line through the points' logarithms."""
    x = np.log([row[along] for row in rows])
    y = np.log([max(row[of], 1e-9) for row in rows])
    return float(np.polyfit(x, y, 1)[0])


def kept_by_precision(images: ImageSet) -> dict[str, dict[str, float]]:
    """Return how many of the extreme images half precision shares with float32."""
    n_extremes = min(200, len(images.image_ids) // 5)
    made: dict[str, Recording] = {}
    # A CPU has no fast way of multiplying in float16.
    for precision in ("float32", "bfloat16"):
        config = RecordConfig(
            layers=("@conv",), n_extremes=n_extremes, precision=precision
        )
        made[precision] = record(images, load_network(NETWORK), config, seed=0)[0]
    result = {}
    for precision, other in made.items():
        if precision == "float32":
            continue
        shares = []
        for end in ("top_index", "bottom_index"):
            pairs = zip(getattr(made["float32"], end), getattr(other, end), strict=True)
            shares.append([len(np.intersect1d(a, b)) / n_extremes for a, b in pairs])
        per_unit = np.mean(shares, axis=0)
        result[precision] = {
            "n_extremes": n_extremes,
            "n_images": len(images.image_ids),
            "shared_mean": float(per_unit.mean()),
            "shared_5th_percentile": float(np.percentile(per_unit, 5)),
        }
    return result


KILLED = """
import sys, time
sys.path.insert(0, {root!r})
import tests.stimuli.toy as toy
from stimuli.record_command import main
real = toy.toy_preprocess
def slow(image):
    time.sleep(0.004)
    return real(image)
toy.toy_preprocess = slow
sys.exit(main(sys.argv[1:]))
"""


def killed(folder: Path, n_kills: int) -> dict[str, float]:
    """Kill the command at random points, go on, and compare bytes."""
    rng = np.random.default_rng(0)
    synthetic_images(folder / "set", 400, side=(24, 20))
    options = ["--images", str(folder / "set"), "--network", "tests.stimuli.toy:toy"]
    options += ["--layers", "@all,relu", "--n-extremes", "50"]
    options += ["--checkpoint-minutes", "0.005", "--workers", "1"]
    code = KILLED.format(root=str(ROOT))

    def start(name: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", code, *options, "--out", str(folder / name)]
        quiet = subprocess.DEVNULL
        return subprocess.Popen(command, stdout=quiet, stderr=quiet, cwd=ROOT)

    begun = time.perf_counter()
    assert start("plain").wait() == 0
    usual = time.perf_counter() - begun
    n_kills_done = n_runs = 0
    while n_kills_done < n_kills:
        n_runs += 1
        process = start(f"killed-{n_runs}")
        while n_kills_done < n_kills:
            try:
                process.wait(timeout=float(rng.uniform(0.4, 1.0) * usual))
                break
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                process.wait()
                n_kills_done += 1
                process = start(f"killed-{n_runs}")
        process.wait()
    same = [
        _bytes(folder / "plain") == _bytes(folder / f"killed-{number}")
        for number in range(1, n_runs + 1)
    ]
    return {"kills": n_kills_done, "runs": n_runs, "runs_with_equal_bytes": sum(same)}


def _bytes(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def main(argv: list[str] | None = None) -> int:
    """Print and write the figures. Exit status: 1 where a killed run differs."""
    if argv is None and sys.argv[1:2] == ["--child"]:
        child(Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
        return 0
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=Path, help="image set (default: synthetic)")
    parser.add_argument(
        "--out", type=Path, default=ROOT / "artifacts/bench/record.json"
    )
    parser.add_argument("--batches", type=int, default=128, help="for the overhead")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--only", nargs="+", help="figures to take anew")
    arguments = parser.parse_args(argv)
    console = Console(width=100)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        synthetic_images(folder / "small", 5000, side=(16, 16))
        images = (
            read_image_set(arguments.images)
            if arguments.images
            else synthetic_images(folder / "photographs", 256, side=(500, 375))
        )
        images = first(images, 256)
        steps: list[tuple[str, Callable[[], object]]] = [
            ("overhead", lambda: overhead(images, arguments.batches)),
            ("whole_run", lambda: share_in_network(images, "@all")),
            ("whole_run_blocks", lambda: share_in_network(images, "@block")),
            (
                "memory_by_images",
                lambda: [
                    peak_in_child(folder / "small", n, 5000)
                    for n in (500, 1000, 2000, 5000)
                ],
            ),
            (
                "memory_by_units",
                lambda: [
                    peak_in_child(folder / "small", 1000, n)
                    for n in (2000, 8000, 32000, 64000)
                ],
            ),
            ("precision", lambda: kept_by_precision(first(images, 160))),
            ("killed", lambda: killed(folder / "killed", arguments.kills)),
        ]
        figures: dict[str, object] = {"machine": machine()}
        if arguments.only and arguments.out.exists():
            figures = read_json(arguments.out) | figures
        for name, step in steps:
            if arguments.only and name not in arguments.only:
                continue
            with console.status(name):
                figures[name] = step()
            # After each step, so that a run that is cut short leaves its figures.
            write_json(arguments.out, figures)
            show(console, name, figures[name])
    if arguments.only and not figures.keys() >= {name for name, _ in steps}:
        return 0
    by_images, by_units = figures["memory_by_images"], figures["memory_by_units"]
    figures["slopes"] = {
        "memory_by_images": slope(by_images, "n_images", "above_start_mb"),  # type: ignore[arg-type]
        "time_by_images": slope(by_images, "n_images", "processor_s"),  # type: ignore[arg-type]
        "memory_by_units": slope(by_units, "n_units", "above_start_mb"),  # type: ignore[arg-type]
    }
    show(console, "slopes", figures["slopes"])
    write_json(arguments.out, figures)
    console.print(f"Figures: {arguments.out}")
    done = figures["killed"]
    return 0 if done["runs"] == done["runs_with_equal_bytes"] else 1  # type: ignore[index]


def machine() -> dict[str, object]:
    """Return what the figures were taken on."""
    return {
        "processor": platform.machine(),
        "cores": os.cpu_count(),
        "torch_threads": torch.get_num_threads(),
        "device": "cpu",
        "load": os.getloadavg()[0],
        **software_versions("numpy", "torch"),
    }


def show(console: Console, name: str, value: object) -> None:
    """Print one figure's numbers."""
    for row in value if isinstance(value, list) else [value]:
        text = "  ".join(
            f"{key} {one:.4g}" if isinstance(one, float) else f"{key} {one}"
            for key, one in row.items()
        )
        console.print(f"{name}: {text}", highlight=False)


if __name__ == "__main__":
    sys.exit(main())
