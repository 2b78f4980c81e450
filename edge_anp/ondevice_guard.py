"""The guard: what the rewards say of the weights. The same numbers as learn_guard.c, in 1/32768.

fast, slow   running means: m += round((r - m) / 2^k), k growing with the first trials to `window` and to `window` + 3
good         the slow mean at the last save
fall         fast + drop < good: roll back. The world, or its judgment, changed, and nobody knows yet whether learning helps there:
trouble      slow begins anew; what it is one long window (2^(window + 3) trials) later is `base`. From two on, at the end of each:
             it rose by two gains above base: save, for learning helps. It is back within `drop` of good: no more trouble.
             it rose by less than half a gain, after two windows, then 4, 8, 16, 16 ...: roll back, so that what meaningless rewards do
             does not last, and slow learning has its time; unless base < 2 drop, for then there is nothing to go back to
save         without trouble: when slow rose by `gain` above good, a long window past the last; and after the first 2^(window - 1) trials
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from edge_anp.ondevice_plan import LearningPlan

KEEP, SAVE, ROLL_BACK = range(3)
LONGER, FINER, PATIENT = 3, 4, 3  # slow: 2^3 times as long as fast, and kept with 4 bits more


@dataclass(frozen=True)
class Guard:
    """since: trials past the last save or rollback; age: of the slow mean; judged: of all. troubled: since the last fall.

    fruitless: rollbacks in a row that helped nothing, PATIENT at most.
    """

    running: int = 0
    good: int = 0
    since: int = 0
    judged: int = 0
    slow: int = 0
    base: int = 0
    age: int = 0
    troubled: bool = False
    fruitless: int = 0

    def judge(self, plan: LearningPlan, reward: int) -> Guard:
        """After the first answer of a trial, of reward 0..128."""
        running = _toward(self.running, reward << 8, self.judged, plan.window)
        slow = _toward(self.slow, reward << 8 + FINER, self.age, plan.window + LONGER)
        since, long, base, troubled = self.since + 1, 1 << plan.window + LONGER, self.base, self.troubled
        if troubled and since >= long and (slow >> FINER) + plan.drop >= self.good:
            troubled = False
        if since == long:
            base = slow >> FINER
        return replace(
            self, running=running, slow=slow, since=since, judged=self.judged + 1, age=self.age + 1, base=base, troubled=troubled
        )  # fmt: skip

    def health(self, plan: LearningPlan) -> int:
        """KEEP, SAVE or ROLL_BACK."""
        long, slow = 1 << plan.window + LONGER, self.slow >> FINER
        if self.since < 1 << plan.window >> 1:
            return KEEP
        if self.judged == self.since:
            return SAVE
        if self.troubled:
            if self.since < 2 * long or self.since % long:
                return KEEP
            if slow > self.base + 2 * plan.gain:
                return SAVE
            helps, vain = 2 * slow > 2 * self.base + plan.gain, self.base < 2 * plan.drop
            return KEEP if helps or vain or self.since < 2 * long << self.fruitless else ROLL_BACK
        if self.running + plan.drop < self.good:
            return ROLL_BACK
        return SAVE if self.since >= long and slow > self.good + plan.gain else KEEP

    def saved(self) -> Guard:
        return replace(self, good=self.slow >> FINER, since=0, troubled=False)

    def rolled_back(self) -> Guard:
        fruitless = min(self.fruitless + 1, PATIENT) if self.troubled else 0
        return replace(self, since=0, age=0, troubled=True, fruitless=fruitless)


def _toward(mean: int, value: int, count: int, longest: int) -> int:
    """A running mean that begins as the mean of `count` values and becomes one over 2^longest."""
    k = min(longest, (count + 1).bit_length() - 1)
    return mean + ((value - mean + (1 << k >> 1)) >> k)
