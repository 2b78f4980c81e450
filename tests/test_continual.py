"""Worlds that change: what a stream's parts hold, and the metrics by hand."""

from __future__ import annotations

import numpy as np
import pytest

from edge_anp import continual
from edge_anp.tasks.samples import Samples, Task
from edge_anp.topology import InputContract


def task(groups: bool = True) -> Task:
    rng = np.random.default_rng(0)
    part = lambda n: Samples(  # noqa: E731
        rng.random((n, 3, 5)).astype(np.float32), np.arange(n) % 4, np.arange(n) // 4 % 3 if groups else None
    )
    return Task("spoken", InputContract((5,)), part(48), part(12), part(24), 4)


def test_speakers_come_one_by_one_and_everyone_is_judged_on_their_own_test():
    parts = continual.stream("speakers", task(), 0)
    assert [p.name for p in parts] == ["speaker 0", "speaker 1", "speaker 2"]
    for k, part in enumerate(parts):
        for samples in (part.train, part.test):
            assert set(np.asarray(samples.groups).tolist()) == {k}
    assert sum(len(p.train) for p in parts) == 48


def test_one_speaker_comes_after_all_others():
    old, new = continual.stream("speakers:1", task(), 0)
    assert set(np.asarray(old.train.groups).tolist()) == {0, 2}
    assert set(np.asarray(new.test.groups).tolist()) == {1}


def test_a_new_class_comes_among_the_others():
    old, both = continual.stream("class:2", task(), 0)
    assert set(old.train.targets.tolist()) == {0, 1, 3}
    assert len(both.train) == 48


@pytest.mark.parametrize("words", ["speakers:7", "class:4", "class:", "permuted:0", "split:9"])
def test_a_stream_that_there_is_not_is_refused_with_what_there_is(words):
    with pytest.raises(ValueError, match="must lie in"):
        continual.stream(words, task(), 0)


def test_a_task_that_does_not_know_who_spoke_says_so():
    with pytest.raises(ValueError, match="does not know who spoke"):
        continual.stream("speakers:0", task(groups=False), 0)
    with pytest.raises(ValueError, match="does not know who spoke"):
        continual.stream("speakers", task(groups=False), 0)


def test_metrics_by_hand():
    found = continual.metrics(np.array([[0.1, 0.2], [0.9, 0.4], [0.6, 0.8]]))
    assert found == pytest.approx(
        {"average": 0.7, "backward_transfer": -0.3, "forward_transfer": 0.2, "forgetting": 0.3}
    )
