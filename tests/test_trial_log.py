"""A log replays to the same weights, by the reference and by C; the first difference is named, wherever it is."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from edge_anp import migration, trial_log
from edge_anp.errors import BadFile, Divergence
from edge_anp.replaying import replay_file
from edge_anp.trial_recorder import Recorder
from targets.mcu import TARGET
from targets.mcu.learn_workloads import compiled, network, rasters


@pytest.fixture(scope="module", params=["binary", "graded"])
def recorded(request, tmp_path_factory):
    """(folder, log, CRC): trials with answers, labels, a save, a rollback, a freeze."""
    place = tmp_path_factory.mktemp("log")
    net = network(inputs=5, hidden=8, decode="membrane_last" if request.param == "graded" else "membrane_mean")
    compiled(place / "a", net)
    some = list(rasters(net).transpose(1, 0, 2))
    with Recorder(TARGET.open_learner(place / "a", "host"), TARGET.layout(place / "a"), place / "trials.log") as one:
        one.start(7)
        one.trials(some, np.arange(16) % 4, 2)
        one.trials(some, np.arange(16) % 4, 0)
        one.session.save()
        one.log.write("S")
        one.trials(some, np.zeros(16, int), 2)
        one.session.roll_back()
        one.log.write("V")
        one.trials(some[:3], [1, 2, 3], 2)
        crc = one.crc()
    return place / "a", place / "trials.log", crc


@pytest.mark.parametrize("runner", [None, "host"])
def test_a_log_replays_to_the_same_weights(recorded, runner):
    folder, log, crc = recorded
    found = replay_file(folder, log, None, runner)
    assert (found.crc, found.trials, found.cut) == (f"{crc:08x}", 51, False)


def changed(log: Path, letter: str, nth: int, to: int, out: Path, word: int = 0) -> Path:
    """The log with a number of its nth record of a letter replaced."""
    data, inputs = bytearray(log.read_bytes()), 5
    record = [r for r in trial_log.read(log, inputs).records if r.letter == letter][nth]
    struct.pack_into("<I", data, record.at + 4 + 4 * word, to)
    out.write_bytes(data)
    return out


@pytest.mark.parametrize(
    ("letter", "nth", "to", "word", "message"),
    [
        ("A", 5, 99, 0, r"trial \d+\), an answer: the log has 99, here it is \d"),
        ("N", 3, 44, 0, r"a trial began: the log has 44, here it is 4"),
        ("W", 2, 3, 0, r"a reward: it cannot be repeated \(the reward is for trial 3;"),
        ("W", 8, 64, 1, r"the log has \w+, here it is \w+"),
        ("K", 1, 0x12345678, 0, r"a checksum: the log has 12345678, here it is"),
        ("Y", 4, 9, 1, r"a label: it cannot be repeated"),
    ],
)
def test_the_first_difference_is_named(recorded, letter, nth, to, word, message, tmp_path):
    folder, log, _ = recorded
    with pytest.raises(Divergence, match=message):
        replay_file(folder, changed(log, letter, nth, to, tmp_path / "x.log", word), None, None)


def test_a_changed_input_is_found_by_the_next_checksum(recorded, tmp_path):
    folder, log, _ = recorded
    data = bytearray(log.read_bytes())
    steps = [r for r in trial_log.read(log, 5).records if r.letter in "13"]
    data[steps[20].at + 4] ^= 3
    (tmp_path / "x.log").write_bytes(data)
    with pytest.raises(Divergence, match="byte"):
        replay_file(folder, tmp_path / "x.log", None, None)


def test_a_log_that_was_cut_off_replays_as_far_as_it_goes(recorded, tmp_path):
    folder, log, _ = recorded
    data, records = log.read_bytes(), trial_log.read(log, 5).records
    for bytes_ in (records[40].at + 2, records[40].at + 5, records[41].at):
        (tmp_path / "x.log").write_bytes(data[:bytes_])
        found = replay_file(folder, tmp_path / "x.log", None, None)
        assert found.cut == (bytes_ != records[41].at)


def test_a_log_goes_on_from_a_journal(recorded, tmp_path):
    folder, _, _ = recorded
    build = migration.open_build(folder)
    some = list(rasters(build.net).transpose(1, 0, 2))
    with Recorder(TARGET.open_learner(folder, "host"), build.layout, tmp_path / "b.log") as one:
        one.start(9)
        one.trials(some, np.arange(16) % 4, 2)
        one.session.save()
        (tmp_path / "flash.bin").write_bytes(one.session.flash())
    with Recorder(TARGET.open_learner(folder, "host"), build.layout, tmp_path / "c.log") as one:
        one.session.put_flash((tmp_path / "flash.bin").read_bytes())
        one.start(1)
        one.resume(9, 16)
        one.trials(some, np.arange(16) % 4, 2)
        crc = one.crc()
    for runner in (None, "host"):
        assert replay_file(folder, tmp_path / "c.log", tmp_path / "flash.bin", runner).crc == f"{crc:08x}"
    with pytest.raises(Divergence, match=r"the shipped weights have .*: give the journal of then"):
        replay_file(folder, tmp_path / "c.log", None, None)


def test_pairs_of_perturbation_replay_too(tmp_path):
    net = network(inputs=5, hidden=8)
    compiled(tmp_path / "a", net, rule="perturbation")
    some, labels = list(rasters(net).transpose(1, 0, 2)), np.arange(16) % 4
    with Recorder(
        TARGET.open_learner(tmp_path / "a", "host"), TARGET.layout(tmp_path / "a"), tmp_path / "x.log"
    ) as one:
        one.start(7)
        one.trials(some, labels, 1)
        crc = one.crc()
        one.session.start(7)
        one.session.trials(some, labels, 1)
        assert one.session.crc() == crc
    assert replay_file(tmp_path / "a", tmp_path / "x.log", None, None).crc == f"{crc:08x}"


@pytest.mark.parametrize(
    ("at", "value", "message"),
    [
        (0, 1, "its magic is 0x00000001"),
        (4, 2, "its version 2"),
        (28, 5, "the checksum of its head is wrong"),
        (32, 0x400 | ord("Q"), "a record has letter 'Q' and 4 bytes; letters are N, M"),
        (32, 0x800 | ord("N"), "a record has letter 'N' and 8 bytes; N has 4"),
    ],
)
def test_a_file_that_is_no_log_is_named(recorded, at, value, message, tmp_path):
    folder, log, _ = recorded
    data = bytearray(log.read_bytes())
    struct.pack_into("<I", data, at, value)
    (tmp_path / "x.log").write_bytes(data)
    with pytest.raises(BadFile, match=message):
        replay_file(folder, tmp_path / "x.log", None, None)


def test_another_models_log_is_refused(recorded, tmp_path):
    _, log, _ = recorded
    compiled(tmp_path / "b", network(inputs=5, hidden=9))
    with pytest.raises(BadFile, match="of another network"):
        replay_file(tmp_path / "b", log, None, None)
