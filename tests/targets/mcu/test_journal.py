"""The journal: versions 1 and 2 stay readable for ever; device and host use the same bytes; damage and other models are found."""

from __future__ import annotations

import json
import struct
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edge_anp import journal
from edge_anp.errors import BadFile
from edge_anp.journal import Saved
from targets.mcu import TARGET
from targets.mcu.learn_run import open_learner
from targets.mcu.learn_workloads import by_hand, compiled, network, rasters

GOLDEN, SECTOR = {version: Path(__file__).with_name(f"journal_v{version}") for version in (1, 2)}, 512
SANITIZED, SEED = ("-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"), 11
NAMES = ("one", "two", "wrapped", "torn", "flipped")
GOLDEN_FILES = [(1, name) for name in NAMES] + [(2, name) for name in (*NAMES, "three")]


@pytest.mark.parametrize(("version", "name"), GOLDEN_FILES)
@pytest.mark.parametrize("bits", [16, 8])
def test_a_journal_that_was_written_once_is_read(bits, version, name):
    folder = GOLDEN[version] / f"bits{bits}"
    layout, data = TARGET.layout(folder), (folder / f"{name}.bin").read_bytes()
    expected = json.loads((folder / "expected.json").read_text())[name]
    slots = journal.examine(data, layout, SECTOR)
    assert journal.newest(slots) == expected["slot"]
    saved = slots[expected["slot"]].saved
    assert saved is not None
    assert {k: getattr(saved, k) for k in ("sequence", "trial", "seed", "running", "good")} == {
        k: expected[k] for k in ("sequence", "trial", "seed", "running", "good")
    }
    assert saved.anchor == expected.get("anchor", 0)
    anchor = journal.anchor(slots)
    assert (None if anchor is None else slots[anchor].head["sequence"]) == (saved.anchor or None)
    masters = layout.unpack(saved.weights)
    assert [u.tolist() for u in masters] == expected["masters"]
    assert f"{journal.masters_crc(masters, bits):08x}" == expected["crc"]


@pytest.mark.parametrize("bits", [16, 8])
def test_a_journal_that_is_written_today_has_the_bytes_of_version_2(bits):
    folder = GOLDEN[2] / f"bits{bits}"
    layout, expected = TARGET.layout(folder), json.loads((folder / "expected.json").read_text())

    def saved(name: str) -> Saved:
        e = expected[name]
        weights = layout.pack([np.array(u) for u in e["masters"]])
        return Saved(e["sequence"], e["trial"], e["seed"], e["running"], e["good"], weights, e["anchor"])

    assert journal.image(layout, [saved("one"), None], SECTOR) == (folder / "one.bin").read_bytes()
    assert journal.image(layout, [saved("one"), saved("two")], SECTOR) == (folder / "two.bin").read_bytes()
    three = [saved("one"), saved("two"), saved("three")]
    assert journal.image(layout, three, SECTOR) == (folder / "three.bin").read_bytes()


@pytest.mark.parametrize("bits", [16, 8])
def test_every_flipped_bit_is_found(bits):
    """One that has a meaning costs its slot, and no other: the other slot is loaded, or the same."""
    folder = GOLDEN[2] / f"bits{bits}"
    layout, data = TARGET.layout(folder), bytearray((folder / "three.bin").read_bytes())
    slot = journal.slot_bytes(layout, SECTOR)
    for bit in range(8 * len(data)):
        byte, number = bit // 8 % slot, bit // 8 // slot
        data[bit // 8] ^= 1 << bit % 8
        slots = journal.examine(bytes(data), layout, SECTOR)
        data[bit // 8] ^= 1 << bit % 8
        meant = byte < 64 or 256 <= byte < 256 + layout.bytes
        assert [s.saved is None for s in slots] == [meant and number == k for k in range(3)]
        assert journal.newest(slots) == (1 if meant and number == 2 else 2)


@pytest.mark.parametrize("bits", [16, 8])
def test_the_device_writes_what_the_host_writes_and_loads_it(bits, tmp_path):
    net = network(inputs=4, hidden=5, classes=3)
    plan = compiled(tmp_path / "a", net, bits=bits)
    layout, some = TARGET.layout(tmp_path / "a"), rasters(net)
    with open_learner(tmp_path / "a", "host", net, plan, 60, flags=SANITIZED) as session:
        session.start(SEED)
        crcs = []
        for k in range(4):
            by_hand(session, some[:, k], k % 3, 2)
            session.save()
            crcs.append(session.crc())
        dump = session.flash()
        slots = journal.examine(dump, layout)
        assert journal.newest(slots) == 0
        saved = [slot.saved for slot in slots]
        assert [s.sequence for s in saved if s is not None] == [4, 2, 3]
        found = [journal.masters_crc(layout.unpack(s.weights), bits) for s in saved if s is not None]
        assert found == [crcs[3], crcs[1], crcs[2]]
        assert journal.image(layout, saved) == dump
        assert saved[0] is not None
        for first, second in ((0xFFFFFFFF, 0), (0, 0xFFFFFFFF), (4, 5), (5, 4), (1, 0x80000000), (1, 0x80000002)):
            pair = [replace(saved[0], sequence=first), replace(saved[0], sequence=second, trial=9)]
            session.put_flash(journal.image(layout, [*pair, None]))
            session.start(1)
            session.load()
            loaded = journal.newest(journal.examine(session.flash(), layout))
            assert session.begin() == 1 + pair[loaded or 0].trial


def test_the_device_reads_a_head_of_version_1(tmp_path):
    net = network(inputs=4, hidden=5, classes=3)
    plan = compiled(tmp_path / "a", net)
    layout = TARGET.layout(tmp_path / "a")
    with open_learner(tmp_path / "a", "host", net, plan, 60, flags=SANITIZED) as session:
        session.start(SEED)
        by_hand(session, rasters(net)[:, 0], 1, 2)
        session.save()
        crc, data = session.crc(), bytearray(session.flash())
        for version, loads in ((1, True), (2, True), (3, False)):
            struct.pack_into("<I", data, 4, version)
            struct.pack_into("<I", data, 60, zlib.crc32(data[:60]))
            session.put_flash(bytes(data[: journal.slot_bytes(layout, journal.SECTOR)]))
            session.start(SEED)
            if loads:
                session.load()
                assert session.crc() == crc
            else:
                with pytest.raises(BadFile, match="EA_NOTHING"):
                    session.load()


def test_journals_of_other_models_are_refused_by_their_hashes(tmp_path):
    net = network(inputs=4, hidden=5, classes=3)
    plan = compiled(tmp_path / "a", net)
    layout = TARGET.layout(tmp_path / "a")
    with open_learner(tmp_path / "a", "host", net, plan, 60, flags=SANITIZED) as session:
        session.start(SEED)
        session.save()
        saved = journal.examine(session.flash(), layout)[0].saved
        shipped = session.crc()
        for other in (replace(layout, network=layout.network ^ 1), replace(layout, learner=layout.learner ^ 1)):
            data = journal.image(other, [saved, None, None])
            assert journal.newest(journal.examine(data, layout)) is None
            assert journal.foreign(journal.examine(data, layout))
            session.put_flash(data)
            session.start(SEED)
            with pytest.raises(BadFile, match="EA_OTHER_MODEL"):
                session.load()
            assert session.crc() == shipped


def test_a_table_that_is_none_is_named(tmp_path):
    text = (GOLDEN[2] / "bits16" / "learn.c").read_text()
    with pytest.raises(BadFile, match="there is no such file"):
        TARGET.layout(tmp_path)
    for change, what in (
        (text.replace("0x314C4145u", "0x314C4146u"), "holds no learner's table"),
        (text.replace("0x314C4145u, 0x00000001u", "0x314C4145u, 0x00000002u"), "its table has version 2"),
        (text.replace("0x00000005u", "0x00000006u", 1), "the checksum of its table is wrong"),
    ):
        (tmp_path / "learn.c").write_text(change)
        with pytest.raises(BadFile, match=what):
            TARGET.layout(tmp_path)
