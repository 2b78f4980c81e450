"""What feeds what, and when: a wrong connection is refused, and loops stay inside a block."""

from dataclasses import dataclass

import pytest

from edge_anp.topology import INPUT, InputContract, blocks, check


@dataclass
class Way:
    source: int
    delay: int = 0
    path: tuple = ()


@dataclass
class Stage:
    connections: tuple
    size: int = 3


def stages(*sources):
    return [Stage(tuple(Way(s, int(s >= i)) for s in each)) for i, each in enumerate(sources)]


@pytest.mark.parametrize(
    ("sources", "want"),
    [
        ([[INPUT], [0], [1]], [(0, 1), (1, 2), (2, 3)]),
        ([[INPUT, 0], [0]], [(0, 1), (1, 2)]),
        ([[INPUT], [0, 2], [1]], [(0, 1), (1, 3)]),
        ([[INPUT, 2], [0], [1], [2]], [(0, 3), (3, 4)]),
        ([[INPUT, 1], [0, 2], [1]], [(0, 3)]),
        ([[INPUT, 1], [0], [1, 3], [2]], [(0, 2), (2, 4)]),
    ],
)
def test_blocks_hold_their_loops(sources, want):
    layers = stages(*sources)
    check(layers, 3)
    assert [(b.start, b.stop) for b in blocks(layers)] == want


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([], "no layers"),
        ([Stage(())], "no connections"),
        ([Stage((Way(1, 1),))], "reads layer 1; it must be"),
        ([Stage((Way(-2),))], "reads layer -2"),
        ([Stage((Way(0, 0),))], "recurrence needs at least 1"),
        ([Stage((Way(INPUT, -1),))], "with delay -1"),
        ([Stage((Way(INPUT),), 4)], "has 4 neurons, but a connection brings 3"),
    ],
)
def test_what_does_not_exist_is_refused(layers, message):
    with pytest.raises(ValueError, match=message):
        check(layers, 3)


@pytest.mark.parametrize("bad", [{"shape": ()}, {"shape": (0,)}, {"shape": (1,), "scale": 0.0}])
def test_an_input_has_a_size(bad):
    with pytest.raises(ValueError, match="it must be"):
        InputContract(**bad)
    assert InputContract((2, 3, 4)).size == 24
