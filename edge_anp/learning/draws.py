"""Which draw of the counter hash is whose: no two purposes share a number."""

from __future__ import annotations

from enum import IntEnum


class Draw(IntEnum):
    """The `draw` argument of `noise`, one for each purpose."""

    ORDER = 1  # of the samples in an epoch
    ACTION = 2  # the answer that is given
    CONTRAST = 3  # the directions in which scores are asked for
    PROBED = 4  # which steps are probed
    FLIP = 5  # the noise of a probe
    FEEDBACK = 6  # random feedback, of the outputs
    LATERAL = 7  # random feedback, of the recurrent currents
    RUN = 8  # the seed of a run's first update
    PERTURB = 9  # the noise on currents
    WEIGHTS = 10  # the noise on weights
    TASK = 11  # a task that is made of random numbers
    TWIN = 0x100  # a rule's second, third, ... draw is this many further on
