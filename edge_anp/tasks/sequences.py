"""Tasks that are computed: the Mackey-Glass series, to be recalled or forecast, and the copying of a sequence after a pause.

mackey_glass            input x(t), target x(t-15), as the source paper codes it: a recall of what was seen 15 steps ago
mackey_glass_forecast   input x(t), target x(t+15): a forecast
copying                 symbols of 1..8, a pause, then as many markers 9 at which the symbols have to be named; targets are classes
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from edge_anp.learning.draws import Draw
from edge_anp.noise import noise, uniform
from edge_anp.tasks.samples import TEST, TRAIN, VALIDATION, Samples, Task, assemble
from edge_anp.topology import InputContract

SERIES, STEPS, LAG, TAU, WASHOUT, INNER = 100, 250, 15, 17, 100, 10
SYMBOLS, LENGTH, PAUSE, SEQUENCES = 10, 20, 5, 1000


def series(count: int, steps: int, seed: int = 0) -> np.ndarray:
    """[count, steps] of  dx/dt = 0.2 x(t-17) / (1 + x(t-17)^10) - 0.1 x,  Euler with 10 steps a unit, then tanh(x - 1), mean removed.

    Every series starts from a history of its own, 1.2 +- 0.1, and its first 100 units are left out.
    """
    delay, total = TAU * INNER, (WASHOUT + steps) * INNER
    x = np.empty((count, delay + total))
    x[:, :delay] = 1.1 + 0.2 * uniform(seed, np.arange(count)[:, None], int(Draw.TASK), 0, 0, np.arange(delay))
    for t in range(delay, delay + total):
        now, past = x[:, t - 1], x[:, t - delay]
        x[:, t] = now + (0.2 * past / (1 + past**10) - 0.1 * now) / INNER
    found = np.tanh(x[:, delay + WASHOUT * INNER :: INNER] - 1)
    return found - found.mean()


def _thirds(count: int) -> np.ndarray:
    """Of series that are all independent: the last fifth for the test, the fifth before it for validation."""
    split = np.full(count, TRAIN)
    split[count * 3 // 5 : count * 4 // 5] = VALIDATION
    split[count * 4 // 5 :] = TEST
    return split


def _mackey_glass(name: str, ahead: bool) -> Task:
    x = series(SERIES, STEPS + LAG).astype(np.float32)[:, :, None]
    early, late = x[:, :-LAG], x[:, LAG:]
    samples = Samples(early, late) if ahead else Samples(late, early)
    return assemble(name, InputContract((1,)), samples, _thirds(SERIES))


def mackey_glass() -> Task:
    return _mackey_glass("mackey_glass", ahead=False)


def mackey_glass_forecast() -> Task:
    return _mackey_glass("mackey_glass_forecast", ahead=True)


def copying(length: int = LENGTH, pause: int = PAUSE, sequences: int = SEQUENCES) -> Task:
    """Disjoint sequences for training, validation and test: of two that are equal, the later is left out."""
    drawn = noise(0, np.arange(sequences)[:, None], int(Draw.TASK), 1, 0, np.arange(length)) % (SYMBOLS - 2) + 1
    drawn = drawn[np.sort(np.unique(drawn, axis=0, return_index=True)[1])].astype(np.int64)
    count, steps = len(drawn), 2 * length + pause
    given, wanted = np.zeros((2, count, steps), np.int64)
    given[:, :length], given[:, length + pause :] = drawn, SYMBOLS - 1
    wanted[:, length + pause :] = drawn
    rasters = np.eye(SYMBOLS, dtype=np.float32)[given]
    return assemble("copying", InputContract((SYMBOLS,)), Samples(rasters, wanted), _thirds(count))


MAKERS: dict[str, Callable[[], Task]] = {
    "mackey_glass": mackey_glass, "mackey_glass_forecast": mackey_glass_forecast, "copying": copying,
}  # fmt: skip
