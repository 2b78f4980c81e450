"""Lava's fixed-point simulator is the reference, in every spike and every state, on every Python that Lava is on."""

import subprocess

import numpy as np
import pytest

from edge_anp import artifact, conformance, integer, reference, target
from edge_anp.conformance_networks import random_network, random_raster
from edge_anp.errors import BadFile, ToolMissing
from edge_anp.integer import LOIHI2
from edge_anp.verify import verify
from targets.loihi import TARGET, lower, run
from targets.loihi.sweep import CASES, every_neuron, raster

NEWER = run.ROOT / ".venv-lava-newer/bin/python"
EVERYWHERE = [
    pytest.param(1, None, id="spikes"),
    pytest.param(9, None, id="graded"),
    pytest.param(9, NEWER, id="newer"),
]
PYTHONS = [pytest.param(None, id="lava_env"), pytest.param(NEWER, id="newer")]


def session(net, folder, runner="lava-fixed", python=None):
    lower.lower(net, folder, "")
    return run.Session(folder, runner, 120, python)


@pytest.mark.parametrize(("high", "python"), EVERYWHERE)
@pytest.mark.parametrize("kind", ["feed-forward", "recurrent", "convolution"])
def test_every_neuron_reset_and_delay(kind, high, python, tmp_path):
    """200 steps, then another sample right behind it: nothing of the first is left."""
    net = every_neuron(kind, high)
    with session(net, tmp_path, python=python) as lava:
        assert "not silicon" in lava.ran
        for seed, steps in ((0, 200), (1, 40)):
            x = raster(net, steps, seed)
            want = reference.run(net, x)
            assert conformance.first_difference(want, lava.run(x)) is None
        assert all(want.spikes[i].any() for i in range(len(CASES)))
        processes = [p["process"] for p in run.read_description(tmp_path / "lava.npz")["populations"]]
        assert {"LIF", "Neuron"} == set(processes)


def test_random_networks(tmp_path):
    """Delays, skip connections, loops, pools, one-to-one, one-dimensional convolutions, per-neuron leaks, silent and bursting layers."""
    seen = 0
    for seed in (0, 10, 22, 32, 39, 53):
        net = random_network(seed, LOIHI2)
        assert not [*target.missing(TARGET, net), *lower.refusals(net)]
        folder = tmp_path / str(seed)
        folder.mkdir()
        with session(net, folder) as lava:
            for k in range(2):
                x = random_raster(net, 2 * seed + k, 30)
                assert conformance.first_difference(reference.run(net, x), lava.run(x)) is None
        seen += 1
    assert seen == 6


def test_a_step_is_the_last_of_a_run(tmp_path):
    net = random_network(10, LOIHI2)
    x = random_raster(net, 1, 4)
    want = reference.run(net, x)
    with session(net, tmp_path) as lava:
        for t in range(4):
            got = lava.step(x[t])
        assert all(np.array_equal(a[-1], b) for a, b in zip(want.spikes, got.spikes, strict=True))
        lava.reset()
        assert np.array_equal(lava.step(x[0]).states[0]["v"], want.states[0]["v"][0])


@pytest.mark.parametrize("python", PYTHONS)
def test_lavas_own_runtime(python, tmp_path):
    net = random_network(49, LOIHI2)
    with session(net, tmp_path, "lava-runtime", python) as lava:
        for k in range(2):
            x = random_raster(net, k, 8)
            assert conformance.first_difference(reference.run(net, x), lava.run(x)) is None


def test_verify_takes_the_fast_runner_unless_the_other_is_named(tmp_path):
    net = random_network(10, LOIHI2)
    target.compile_to(TARGET, net, tmp_path / "out", None, [random_raster(net, 0, 3)])
    for runner, ran in ((None, "lava-fixed"), ("lava-runtime", "lava-runtime")):
        assert set(verify(tmp_path / "out", [random_raster(net, 1, 4)], runner).runners) == {ran}


def test_an_artifact_runs_without_edge_anp(tmp_path):
    """`python worker` in the folder, in an environment that has lava-nc and nothing of ours."""
    net = random_network(10, LOIHI2)
    target.compile_to(TARGET, net, tmp_path / "out", None, [random_raster(net, k, 9) for k in range(3)])
    command = [str(run.find_python()), "worker"]
    done = subprocess.run(command, cwd=tmp_path / "out", capture_output=True, text=True, timeout=300)
    assert "3 golden samples, 0 spikes and 0 states differ" in done.stdout, done.stderr
    assert done.returncode == 0
    readme = (tmp_path / "out" / "README.md").read_text()
    assert "it was not run on Loihi hardware" in readme
    assert "that is not silicon" in readme
    golden = artifact.read_golden(artifact.read(tmp_path / "out"))
    wrong = golden.traces[0].spikes[0]
    wrong[0, 0] ^= 1
    artifact.write_golden(tmp_path / "out", golden)
    done = subprocess.run(command, cwd=tmp_path / "out", capture_output=True, text=True, timeout=300)
    assert "1 spikes and 0 states differ" in done.stdout
    assert done.returncode == 1


def test_no_lava_is_one_clear_error(monkeypatch, tmp_path):
    lower.lower(random_network(10, LOIHI2), tmp_path, "")
    monkeypatch.setenv(run.VARIABLE, str(tmp_path / "nowhere"))
    with pytest.raises(ToolMissing, match="tools/lava_env"):
        TARGET.open(tmp_path, "lava-fixed")
    import sys

    monkeypatch.setenv(run.VARIABLE, sys.executable)
    with pytest.raises(ToolMissing, match=r"ModuleNotFoundError.*lava.*tools/lava_env"):
        TARGET.open(tmp_path, "lava-fixed")
    monkeypatch.setenv(run.VARIABLE, str(tmp_path / "lava.npz"))
    with pytest.raises(ToolMissing, match=r"lava\.npz cannot be run: .*tools/lava_env"):
        TARGET.open(tmp_path, "lava-fixed")


@pytest.mark.parametrize("damage", ["", "text", "other"])
def test_a_bad_file_is_one_clear_error(damage, tmp_path):
    path = tmp_path / "lava.npz"
    if damage == "text":
        path.write_text("no")
    elif damage:
        np.savez(path, header=np.frombuffer(b'{"version": 7}', np.uint8))
    with pytest.raises(BadFile, match="compile --target loihi"):
        TARGET.open(tmp_path, "lava-fixed")


def test_the_integers_travel(tmp_path):
    net = every_neuron("feed-forward")
    integer.save(net, tmp_path / "integer.npz")
    back = integer.load(tmp_path / "integer.npz")
    assert back.arithmetic == LOIHI2
    assert back.layers[1].bias_into == net.layers[1].bias_into
