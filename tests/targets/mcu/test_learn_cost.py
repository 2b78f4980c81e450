"""What a trial of learning costs on an M4, as built: instructions and RAM, the stack included, within what is allowed."""

from __future__ import annotations

import pytest

from targets.mcu import learn_cost

SLOW = pytest.mark.slow


def test_the_network_is_as_active_as_it_says():
    assert 0.065 <= learn_cost.activity(learn_cost.network(), learn_cost.rasters()) <= 0.075


@pytest.mark.parametrize(
    "row",
    [
        pytest.param(r, marks=() if r[:3] == ("all", 16, 0) else SLOW, id=f"{r[0]} {r[1]} {r[2]}")
        for r in learn_cost.ROWS
    ],
)
def test_a_trial_stays_within_its_instructions_and_its_memory(row):
    learn, bits, every, (instructions, ram) = row
    cost = learn_cost.measure("m4", learn, bits, every)
    assert cost.ram <= ram
    assert 0 < cost.commit < cost.trial <= (instructions or 2_000_000)
