"""Tasks from recorded data: braille7, fsdd, kws, mnist and psmnist, weather. The files are the user's; nothing of them is shipped.

braille7   touch of Braille letters: 7 classes, 128 steps of 12 event counts, one a taxel
fsdd       spoken digits: 50 steps of 48 values, the log spectrum in 24 bands above and below its mean
kws        12 keywords: 49 steps of 10 MFCC in int8, scaled to -1..1
mnist      a row of 28 pixels a step, 28 steps;  psmnist: a pixel a step in one fixed random order, 784 steps
weather    temperature an hour ahead from 9 measurements, hour by hour, in pieces of 48 hours
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from edge_anp import npz
from edge_anp.errors import BadFile
from edge_anp.noise import noise
from edge_anp.tasks.raw import find
from edge_anp.tasks.samples import TEST, TRAIN, VALIDATION, Samples, Task, assemble, split_evenly
from edge_anp.topology import InputContract

Data = str | Path | None
PERMUTATION = 0  # the seed of psmnist's order of pixels
HOURS, DROPPED, AHEAD, TEST_ROW = (
    48,
    (2, 5, 11),
    1,
    33_600,
)  # weather: the source paper drops the three Celsius columns and splits there


def _validate_a_fifth(test: np.ndarray) -> np.ndarray:
    """Test where it says so; every fifth of the rest for validation."""
    split = np.full(len(test), TRAIN)
    split[test] = TEST
    rest = np.flatnonzero(~test)
    split[rest[::5]] = VALIDATION
    return split


def _open(path: Path, names: tuple[str, ...]) -> dict[str, np.ndarray]:
    return npz.read(path, f"an .npz with {', '.join(names)}", names)


def braille7(data: Data) -> Task:
    path = find(data, "braille7", "braille7/braille7_or_th1_5ms.npz")
    d = _open(path, ("x_packed", "shape", "labels", "split"))
    samples, steps, taxels = (int(n) for n in d["shape"])
    x = np.unpackbits(d["x_packed"], axis=1)[:, : steps * taxels].reshape(samples, steps // 2, 2, taxels).sum(2)
    return assemble(
        "braille7",
        InputContract((taxels,)),
        Samples(x.astype(np.float32), d["labels"].astype(np.int64)),
        d["split"].astype(np.int64),
    )


def fsdd(data: Data, bands: int = 24, steps: int = 50, window: int = 256, rate: int = 8000) -> Task:
    path = find(data, "fsdd", "fsdd/fsdd_8khz_int16.npz")
    d = _open(path, ("pcm", "offsets", "digit", "speaker", "is_test"))
    bottom, top = 2595 * np.log10(1 + np.array([60.0, 3800.0]) / 700)
    mel = np.linspace(bottom, top, bands + 2)
    edges = np.floor((window + 1) * 700 * (10 ** (mel / 2595) - 1) / rate).astype(int)
    bins = np.arange(window // 2 + 1)[None]
    low, middle, high = (edges[k : k + bands, None] for k in range(3))
    middle = np.maximum(middle, low + 1)
    high = np.maximum(high, middle + 1)
    bank = np.clip(np.minimum((bins - low) / (middle - low), (high - bins) / (high - middle)), 0, None)
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)
    x = np.zeros((len(d["digit"]), steps, 2 * bands), np.float32)
    for k, sample in enumerate(x):
        sound = d["pcm"][d["offsets"][k] : d["offsets"][k + 1]].astype(np.float64) / 32768
        sound = np.pad(sound, (0, max(window - len(sound), 0) + (-len(sound)) % (window // 2)))
        frames = np.lib.stride_tricks.sliding_window_view(sound, window)[:: window // 2]
        power = np.abs(np.fft.rfft(frames * hann) / hann.sum()) ** 2
        f = np.log(power @ bank.T + 1e-7)
        f = ((f - f.mean()) / (f.std() + 1e-5))[:steps]
        f = np.pad(f, ((0, steps - len(f)), (0, 0)), constant_values=f.min())
        sample[:] = np.concatenate([np.clip(f, 0, None), np.clip(-f, 0, None)], 1)
    split = _validate_a_fifth(d["is_test"].astype(bool))
    return assemble(
        "fsdd",
        InputContract((2 * bands,)),
        Samples(x, d["digit"].astype(np.int64), d["speaker"].astype(np.int64)),
        split,
    )


def kws(data: Data) -> Task:
    path = find(data, "kws", "gsc_kws01/kws01_mfcc_int8.npz")
    d = _open(path, ("x", "y"))
    x = d["x"].astype(np.float32) / 128
    return assemble("kws", InputContract((10,)), Samples(x, d["y"].astype(np.int64)), split_evenly(len(x)))


def _idx(path: Path, skip: int) -> np.ndarray:
    """The bytes of an idx file, gzipped or not."""
    try:
        content = path.read_bytes()
        content = gzip.decompress(content) if path.suffix == ".gz" else content
    except (OSError, EOFError, zlib.error) as error:
        raise BadFile(
            path, f"it is damaged ({type(error).__name__})", should_be="an idx file of MNIST, perhaps gzipped"
        ) from error
    return np.frombuffer(content, np.uint8)[skip:]


def mnist(data: Data) -> Task:
    parts = []
    for part in ("train", "t10k"):
        names = [f"{part}-{what}.gz" for what in ("images-idx3-ubyte", "labels-idx1-ubyte")]
        images, labels = (find(data, "mnist", f"mnist/{name}", f"mnist/{name[:-3]}") for name in names)
        parts.append((_idx(images, 16), _idx(labels, 8)))
    y = np.concatenate([labels for _, labels in parts]).astype(np.int64)
    x = np.concatenate([images for images, _ in parts])
    if len(x) != len(y) * 784:
        raise BadFile(images, f"{len(x)} pixels for {len(y)} labels", should_be="784 pixels a label")
    test = np.arange(len(y)) >= len(parts[0][1])
    samples = Samples(x.reshape(-1, 28, 28).astype(np.float32) / 255, y)
    return assemble("mnist", InputContract((28,)), samples, _validate_a_fifth(test))


def psmnist(data: Data) -> Task:
    rows = mnist(data)
    order = noise(PERMUTATION, 0, 0, 0, 0, np.arange(784)).argsort(kind="stable")
    move = lambda s: Samples(np.ascontiguousarray(s.rasters.reshape(len(s), 784)[:, order, None]), s.targets)  # noqa: E731
    return Task("psmnist", InputContract((1,)), move(rows.train), move(rows.validation), move(rows.test), 10)


def weather(data: Data) -> Task:
    path = find(data, "weather", "weather_wth/WTH.csv", "WTH.csv")
    try:
        rows = np.genfromtxt(path, delimiter=",", skip_header=1, dtype=np.float64)
    except ValueError as error:
        raise BadFile(
            path, f"it cannot be read ({error})"[:200], should_be="a .csv: a date, then 12 numbers a row"
        ) from error
    rows = rows[:, 1:] if rows.ndim == 2 else rows[None]
    if rows.shape[1] != 12 or not np.isfinite(rows).all():
        raise BadFile(
            path, f"it has rows of {rows.shape[-1]} numbers", should_be="a .csv: a date, then 12 numbers a row"
        )
    names = path.read_text().splitlines()[0].split(",")[1:]
    rows = np.delete(rows, DROPPED, axis=1)
    names = [n for k, n in enumerate(names) if k not in DROPPED]
    rows = (rows - rows.min(0)) / (rows.max(0) - rows.min(0))
    wanted = next((k for k, n in enumerate(names) if n.strip().lower().startswith("drybulbf")), 1)
    x, y = rows[:-AHEAD].astype(np.float32), rows[AHEAD:, wanted : wanted + 1].astype(np.float32)
    starts = np.concatenate([np.arange(0, TEST_ROW - HOURS, HOURS), np.arange(TEST_ROW, len(x) - HOURS + 1, HOURS)])
    cut = starts[:, None] + np.arange(HOURS)
    split = np.full(len(starts), TRAIN)
    split[starts >= TEST_ROW] = TEST
    split[np.flatnonzero(starts < TEST_ROW)[4::5]] = VALIDATION
    return assemble("weather", InputContract((x.shape[1],), dt=3600.0), Samples(x[cut], y[cut]), split)


READERS: dict[str, Callable[[Data], Task]] = {
    "braille7": braille7, "fsdd": fsdd, "kws": kws, "mnist": mnist, "psmnist": psmnist, "weather": weather,
}  # fmt: skip
