"""A stranger's compiler as a second opinion: our ONNX steps through emx-onnx-cgen, run on an M4 beside ours, every bit equal."""

import pytest

from edge_anp import reference
from edge_anp.verify import Comparison, compare
from targets.mcu import footprint, foreign, lower, workloads

WORK = workloads.recurrent()


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    """Instructions of our own step on the M4."""
    folder = tmp_path_factory.mktemp("ours")
    lower.lower(WORK.net, folder, "", ("host",))
    return footprint.measure(folder, WORK.net, "m4", WORK.raster).instructions


@pytest.mark.slow
@pytest.mark.parametrize("flavor", foreign.FLAVORS)
def test_a_foreign_compiler_agrees_and_is_slower(flavor, ours):
    got, theirs = foreign.measure(WORK.net, WORK.raster, flavor)
    found = compare(Comparison(0, 0, 0, 0, None, True), WORK.net, 0, reference.run(WORK.net, WORK.raster), got)
    assert (found.spike_mismatches, found.state_mismatches) == (0, 0), found.first
    print(f"{flavor}: ours {ours:.0f}, theirs {theirs:.0f} instructions a step: {theirs / ours:.1f} times")
    assert ours * 6 <= theirs
