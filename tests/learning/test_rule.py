"""What a rule may ask: no more than its signal permits, one answer a trial, and all of it counted."""

import pytest
import torch
from torch.nn import functional as F

from edge_anp.learning.bptt import BPTT
from edge_anp.learning.feedback import FeedbackANP
from edge_anp.learning.rule import Rule, Signal

LABELS = torch.tensor([2, 0, 1])
QUESTIONS = {
    "label": lambda ask: ask.label(),
    "score": lambda ask: ask.score(torch.zeros(3, 4)),
    "reward": lambda ask: ask.reward(torch.tensor([2, 0, 0])),
}


@pytest.mark.parametrize("signal", list(Signal))
def test_only_the_declared_signal_is_answered_and_it_is_counted(asking, signal):
    ask = asking(LABELS, signal)
    for question, put in QUESTIONS.items():
        if question != signal:
            with pytest.raises(ValueError, match=f"{question}.*{signal}"):
                put(ask)
    assert not ask.counts
    put = QUESTIONS[signal]
    put(ask)
    assert ask.counts == {f"{signal}s": 3}


def test_answers_are_right(asking):
    assert torch.equal(asking(LABELS).label(), LABELS)
    outputs = torch.randn(3, 4)
    torch.testing.assert_close(
        asking(LABELS, "score").score(outputs), F.cross_entropy(outputs, LABELS, reduction="none")
    )
    assert asking(LABELS, "reward").reward(torch.tensor([2, 1, 1])).tolist() == [1, 0, 1]


def test_a_second_answer_is_refused(asking):
    ask = asking(LABELS, "reward")
    ask.reward(LABELS)
    with pytest.raises(ValueError, match="second answer"):
        ask.reward(LABELS)
    assert ask.counts == {"rewards": 3}


def test_an_answer_for_every_trial(asking):
    with pytest.raises(ValueError, match="one for each of 3"):
        asking(LABELS, "reward").reward(torch.tensor([1]))


@pytest.mark.parametrize(
    ("targets", "reason"),
    [
        (torch.tensor([0, 4]), "label is 4.*4 outputs"),
        (torch.tensor([-1]), "label is -1"),
        (torch.tensor([0.5]), r"float32 \[1\]"),
        (torch.tensor([[[1, 2]]]), r"int64 \[1, 1, 2\]"),
        (torch.zeros(2, 3, 5), r"5 numbers a step.*4 outputs"),
        (torch.tensor([True]), "bool"),
    ],
)
def test_labels_are_checked_at_birth(asking, targets, reason):
    with pytest.raises(ValueError, match=reason):
        asking(targets)


def test_what_is_asked_is_what_the_signal_says(make, data, asking):
    net, (raster, labels) = make(), data()
    for signal, want in (("label", {"labels": 6}), ("score", {"scores": 2 * 2 * 6}), ("reward", {"rewards": 6})):
        ask = asking(labels, signal)
        rule = FeedbackANP(signal, queries=2)
        rule.update(net, rule.init(net, 0), raster, ask, 0)
        assert ask.counts == want


@pytest.mark.parametrize("rule", [BPTT(), FeedbackANP()])
def test_our_rules_keep_the_protocol(rule):
    assert isinstance(rule, Rule)
