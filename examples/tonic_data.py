"""A tonic data set as a task: edge-anp train NET --task examples/tonic_data.py:samples --rule feedback-anp --out runs/t

`samples` yields a raster and a class for every recording. Any data set of tonic (pip install edge-anp[tonic]) takes the place of `Bars`,
for example tonic.datasets.NMNIST("data", transform=frames); here a bar of events moves in one of four directions, so that
nothing has to be downloaded.
"""

import numpy as np
import tonic  # pyright: ignore[reportMissingImports]
from tonic import transforms  # pyright: ignore[reportMissingImports]

SIDE, BINS = 8, 16  # pixels, steps
FRAMES = transforms.Compose(
    [transforms.Denoise(filter_time=20_000), transforms.ToFrame(sensor_size=(SIDE, SIDE, 2), n_time_bins=BINS)]
)


class Bars(tonic.Dataset):
    """Recordings in tonic's format: structured arrays of x, y, t in microseconds, p."""

    def __init__(self, count=200, transform=None):
        super().__init__(".", transform=transform)
        self.count = count

    def __len__(self):
        return self.count

    def __getitem__(self, k):
        target, draw = k * 7 % 4, np.random.default_rng(k)
        at = np.arange(SIDE).repeat(SIDE)  # where the bar is, one position after the other
        along = at if target % 2 else SIDE - 1 - at
        across = np.tile(np.arange(SIDE), SIDE)
        x, y = (along, across) if target < 2 else (across, along)
        t = at * 10_000 + draw.integers(0, 8_000, len(at))
        order = np.argsort(t)
        events = tonic.io.make_structured_array(x[order], y[order], t[order], np.ones(len(at), int))
        return (events if self.transform is None else self.transform(events)), target


def samples():
    """(raster [T, inputs], class) of every recording; frames are [T, polarity, y, x]."""
    recordings = Bars(transform=FRAMES)
    for k in range(len(recordings)):
        frames, target = recordings[k]
        yield frames.reshape(len(frames), -1).astype(np.float32), target


if __name__ == "__main__":
    import edge_anp
    from edge_anp.bench_accuracy import build

    task = edge_anp.load_task(f"{__file__}:samples")
    history = edge_anp.train(build("recurrent-32", task, 0), task, edge_anp.FeedbackANP(), updates=60, batch=32)
    print(f"{len(task.train)} recordings, accuracy {edge_anp.evaluate(history.network, task.test):.3f}")
