"""The guard: what the running reward says of the weights. The same numbers as ea_learn_health, in 1/32768.

running += round((r - running) / 2^k)      k grows with the first trials to `window`, so that it begins as their mean
save        when it rose by `gain` above what it was at the last save, and once after the first 2^(window - 1) trials
roll back   when it fell by `drop` below that; `good` is then what it had fallen to: a world that changed is learned, not fought
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from edge_anp.ondevice_plan import LearningPlan

KEEP, SAVE, ROLL_BACK = range(3)


@dataclass(frozen=True)
class Guard:
    """running, good: mean rewards; since, judged: trials since the last save or rollback, and ever."""

    running: int = 0
    good: int = 0
    since: int = 0
    judged: int = 0

    def judge(self, plan: LearningPlan, reward: int) -> Guard:
        """After the first answer of a trial, of reward 0..128."""
        k = min(plan.window, (self.judged + 1).bit_length() - 1)
        running = self.running + (((reward << 8) - self.running + (1 << k >> 1)) >> k)
        return replace(self, running=running, since=self.since + 1, judged=self.judged + 1)

    def health(self, plan: LearningPlan) -> int:
        """KEEP, SAVE or ROLL_BACK."""
        if self.since < 1 << plan.window >> 1:
            return KEEP
        if self.running + plan.drop < self.good:
            return ROLL_BACK
        return SAVE if self.running > self.good + plan.gain or self.judged == self.since else KEEP

    def settled(self) -> Guard:
        """After a save, or a rollback."""
        return replace(self, good=self.running, since=0)
