"""A stranger's compiler as a second opinion: our ONNX steps through emx-onnx-cgen, run on an M4 beside ours, every bit equal."""

import pytest

from edge_anp import reference
from edge_anp.verify import Comparison, compare
from targets.mcu import footprint, foreign, lower, workloads


@pytest.mark.slow
@pytest.mark.parametrize("name", ["recurrent", "graded"])
def test_a_foreign_compiler_agrees_and_is_slower(name, tmp_path):
    """Spikes and numbers as input; six times as many instructions at least, from either of our graphs."""
    work = workloads.WORKLOADS[name]()
    lower.lower(work.net, tmp_path, "", ("host",))
    ours, want = (
        footprint.measure(tmp_path, work.net, "m4", work.raster).instructions,
        reference.run(work.net, work.raster),
    )
    for flavor in foreign.FLAVORS:
        got, theirs = foreign.measure(work.net, work.raster, flavor)
        found = compare(Comparison(0, 0, 0, 0, None, True), work.net, 0, want, got)
        assert (found.spike_mismatches, found.state_mismatches) == (0, 0), found.first
        print(f"{name}, {flavor}: ours {ours:.0f}, theirs {theirs:.0f} instructions a step: {theirs / ours:.1f} times")
        assert ours * 6 <= theirs
