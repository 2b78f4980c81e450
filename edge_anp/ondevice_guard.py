"""The guard: what the rewards say of the weights. The same numbers as learn_guard.c, in 1/32768.

fast, slow   running means: m += round((r - m) / 2^k), k growing with the first trials to `window` and to `window` + 3
good         the slow mean at the last save
fall         fast + drop < good: roll back. The world, or its judgment, changed, and nobody knows yet whether learning helps there:
trouble      slow begins anew; what it is one long window (2^(window + 3) trials) later is `base`. From two on, at the end of each:
             it rose by two gains above base: save, for learning helps. It is back within `drop` of good: no more trouble.
             it rose by less than half a gain, after two windows, then 4, 8, 16, 16 ...: roll back, so that what meaningless rewards do
             does not last, and slow learning has its time; unless base < 2 drop, for then there is nothing to go back to
anchor       what was newest when the guard last saved in a world that had changed since: in trouble, or out of it by learning (base +
             drop < good), or when fast was two gains above base after 8 long windows (who is called wrong when right soon earns more
             by being wrong). The world of then may be back: in trouble, once, after a long window that did not bring slow within `drop`
             of good, roll back to the anchor for a long window. There it is two gains above base: save. Else roll back to the newest
save         without trouble: when slow rose by `gain` above good, a long window past the last; and after the first 2^(window - 1) trials
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from edge_anp.ondevice_plan import LearningPlan

KEEP, SAVE, ROLL_BACK = range(3)
MANY = 2**30  # where counts of trials end
NEWEST, ANCHOR, TRIED = range(3)  # in trouble: which save is on trial; the anchor was
LONGER, FINER, PATIENT, PROVEN = 3, 4, 3, 8  # slow: 2^3 times as long as fast, and kept with 4 bits more

Weights = TypeVar("Weights")


@dataclass(frozen=True)
class Guard:
    """since: trials past the last save or rollback; age: of the slow mean; judged: of all. troubled: since the last fall.

    fruitless: rollbacks in a row that helped nothing, PATIENT at most. anchored: there is an anchor. trying: NEWEST, ANCHOR or TRIED.
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
    trying: int = NEWEST
    anchored: bool = False

    def judge(self, plan: LearningPlan, reward: int) -> Guard:
        """After the first answer of a trial, of reward 0..128."""
        running = _toward(self.running, reward << 8, self.judged, plan.window)
        slow = _toward(self.slow, reward << 8 + FINER, self.age, plan.window + LONGER)
        since, long, base, troubled = self.since + 1, 1 << plan.window + LONGER, self.base, self.troubled
        if self.trying != ANCHOR and since >= long and (slow >> FINER) + plan.drop >= self.good:
            troubled = False
        if self.trying != ANCHOR and since == long:
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
            return self._in_trouble(plan, long, slow)
        if self.running + plan.drop < self.good:
            return ROLL_BACK
        return SAVE if self.since >= long and slow > self.good + plan.gain else KEEP

    def _in_trouble(self, plan: LearningPlan, long: int, slow: int) -> int:
        better = slow > self.base + 2 * plan.gain
        if self.trying == ANCHOR:
            return KEEP if self.since < long else SAVE if better else ROLL_BACK
        if self.trying == NEWEST and self.anchored and self.since >= long:
            return ROLL_BACK
        if self.since < 2 * long or self.since % long:
            return KEEP
        if better:
            return SAVE
        helps, vain = 2 * slow > 2 * self.base + plan.gain, self.base < 2 * plan.drop
        return KEEP if helps or vain or self.since < 2 * long << self.fruitless else ROLL_BACK

    def changed(self, plan: LearningPlan) -> bool:
        """Whether this is another world than that of the last save."""
        proven = self.since >= PROVEN << plan.window + LONGER
        fell = self.base + plan.drop < self.good
        return self.troubled or fell or (proven and self.running > self.base + 2 * plan.gain)

    def saved(self, anchored: bool) -> Guard:
        """anchored: whether there is an anchor now."""
        good = self.slow >> FINER
        return replace(self, good=good, base=good, since=0, troubled=False, trying=NEWEST, anchored=anchored)

    @staticmethod
    def resumed(running: int, good: int, anchored: bool) -> Guard:
        """As it was at the save that is loaded."""
        return Guard(running, good, judged=MANY, slow=good << FINER, base=good, age=MANY, anchored=anchored)

    def rolled_back(self) -> Guard:
        """In trouble, the anchor's turn comes first, and once."""
        trying, fruitless = NEWEST, 0
        if self.troubled and self.trying == NEWEST and self.anchored:
            trying, fruitless = ANCHOR, self.fruitless
        elif self.troubled and self.trying == ANCHOR:
            trying, fruitless = TRIED, self.fruitless
        elif self.troubled:
            trying, fruitless = self.trying, min(self.fruitless + 1, PATIENT)
        return replace(self, since=0, age=0, troubled=True, fruitless=fruitless, trying=trying)


@dataclass(frozen=True)
class Kept(Generic[Weights]):
    """What lies in a flash of three slots: the newest save, or None; and the anchor. Two slots have no room for one."""

    newest: Weights | None = None
    anchor: Weights | None = None
    slots: int = 3

    def save(self, weights: Weights, guard: Guard, plan: LearningPlan) -> tuple[Kept[Weights], Guard]:
        """A save in a world that changed makes what was newest the anchor."""
        anchor = self.newest if guard.changed(plan) and self.newest is not None else self.anchor
        anchor = anchor if self.slots > 2 else None
        return Kept(weights, anchor, self.slots), guard.saved(anchor is not None)

    def roll_back(self, guard: Guard) -> tuple[Weights | None, Guard]:
        """What is to be tried: the newest save, or the anchor; None: the shipped weights."""
        guard = guard.rolled_back()
        return self.anchor if guard.trying == ANCHOR else self.newest, guard


def _toward(mean: int, value: int, count: int, longest: int) -> int:
    """A running mean that begins as the mean of `count` values and becomes one over 2^longest."""
    k = min(longest, (count + 1).bit_length() - 1)
    return mean + ((value - mean + (1 << k >> 1)) >> k)
