"""The command line as a user meets it: the road from end to end, and what happens off the road."""

import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from typer.testing import CliRunner

from edge_anp import cli
from edge_anp.cli import app
from edge_anp.learning import checkpoint

EXAMPLE = str(Path(__file__).parent.parent / "examples" / "my_net.py") + ":build"
COMMANDS = ("check", "train", "compile", "verify", "bench", "demo", "doctor")


def edge_anp(*words: object) -> tuple[int, str]:
    """Run a command in this process: its exit code and everything it printed, on one line."""
    result = CliRunner().invoke(app, [str(w) for w in words])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    text = result.output + getattr(result, "stderr", "")
    assert "Traceback" not in text
    return result.exit_code, " ".join(text.split())


@pytest.fixture(scope="session")
def run(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    words = ("--rule", "feedback-anp", "--signal", "reward", "--updates", 30, "--out", folder)
    code, text = edge_anp("train", EXAMPLE, "--task", "digits", *words)
    assert code == 0, text
    return folder


@pytest.fixture(scope="session")
def artifact(run, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("build") / "onnx"
    code, text = edge_anp("compile", run / "network.npz", "--target", "onnx", "--calibrate", "digits", "--out", folder)
    assert code == 0, text
    return folder


@pytest.mark.parametrize("command", COMMANDS)
def test_help_ends_with_an_example(command):
    code, text = edge_anp(command, "--help")
    assert code == 0
    assert f"edge-anp {command}" in text


def test_a_run_folder_holds_what_the_design_names(run):
    assert {"network.npz", "weights.safetensors", "log.jsonl", "result.json"} <= {p.name for p in run.iterdir()}
    assert len((run / "log.jsonl").read_text().splitlines()) == 30


def test_the_road_is_verified(artifact, tmp_path):
    code, text = edge_anp("verify", artifact, "--task", "digits", "--samples", 40, "--json", tmp_path / "v.json")
    assert code == 0, text
    found = json.loads((tmp_path / "v.json").read_text())
    assert found["target"] == "onnx"
    assert "onnxruntime" in found["ran"]
    for name in ("step_q", "step_i32"):
        runner = found["runners"][name]
        assert (runner["spike_mismatches"], runner["state_mismatches"], runner["first"]) == (0, 0, None)
        assert runner["neuron_steps"] == 40 * 16 * 138
        assert runner["samples"] == 40


@pytest.mark.parametrize("flavor", ["step_q", "step_i32"])
def test_one_changed_weight_is_a_divergence_with_a_place(artifact, tmp_path, flavor):
    import shutil

    broken = tmp_path / "broken"
    shutil.copytree(artifact, broken)
    model = onnx.load(broken / f"{flavor}.onnx")
    weights = [t for t in model.graph.initializer if len(t.dims) == 2]
    values = onnx.numpy_helper.to_array(weights[0]).copy()
    values[3] += 9
    weights[0].CopyFrom(onnx.numpy_helper.from_array(values, weights[0].name))
    onnx.save(model, broken / f"{flavor}.onnx")
    code, text = edge_anp("verify", broken, "--task", "digits", "--samples", 5)
    assert code == 1
    assert all(word in text for word in ("Divergence", flavor, "step", "layer", "neuron"))


def _bad_files(folder: Path, good: Path) -> dict[str, Path]:
    marker = folder / "executed"

    class Evil:
        def __reduce__(self):
            return Path.touch, (marker,)

    files = {name: folder / f"{name}.npz" for name in ("truncated", "foreign", "pickled", "objects", "absent")}
    files["truncated"].write_bytes(good.read_bytes()[:-200])
    files["foreign"].write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(500))
    files["pickled"].write_bytes(pickle.dumps(Evil()))
    np.savez(files["objects"], header=np.array([Evil()], dtype=object))
    return files


@pytest.mark.parametrize("kind", ["truncated", "foreign", "pickled", "objects", "absent"])
def test_a_bad_file_is_one_sentence_and_never_executed(run, tmp_path, kind):
    path = _bad_files(tmp_path, run / "network.npz")[kind]
    code, text = edge_anp("compile", path, "--target", "onnx", "--calibrate", "digits", "--out", tmp_path / "out")
    assert code == 2
    assert "BadFile" in text
    assert path.name in text.replace(" ", "")
    assert not (tmp_path / "executed").exists()
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", ["foreign", "pickled", "absent"])
def test_bad_weights_are_refused_unexecuted(run, tmp_path, kind):
    path = (
        _bad_files(tmp_path, run / "network.npz")[kind].rename(tmp_path / f"{kind}.pt")
        if kind != "absent"
        else tmp_path
    )
    words = ("--weights", path, "--target", "onnx", "--calibrate", "digits", "--out", tmp_path / "out")
    code, text = edge_anp("compile", EXAMPLE, *words)
    assert (code, "BadFile" in text) == (2, True)
    assert not (tmp_path / "executed").exists()


def test_trained_elsewhere_with_data_of_ones_own(tmp_path):
    (tmp_path / "mine.py").write_text(
        "import snntorch as snn\nfrom torch import nn\n\n\ndef build():\n"
        "    return nn.Sequential(nn.Linear(6, 20), snn.Leaky(beta=0.8, init_hidden=True), nn.Linear(20, 3),"
        " snn.Leaky(beta=0.9, init_hidden=True))\n"
    )
    sys.path.insert(0, str(tmp_path))
    try:
        import mine  # type: ignore[import-not-found]
    finally:
        sys.path.pop(0)
    torch.manual_seed(0)
    torch.save(mine.build().state_dict(), tmp_path / "trained.pt")
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "data.npz", x=rng.random((60, 25, 6), np.float32) * 2, y=rng.integers(0, 3, 60))
    words = ("--weights", tmp_path / "trained.pt", "--target", "onnx", "--calibrate", tmp_path / "data.npz")
    code, text = edge_anp("compile", f"{tmp_path / 'mine.py'}:build", *words, "--out", tmp_path / "out")
    assert code == 0, text
    code, text = edge_anp("verify", tmp_path / "out", "--task", tmp_path / "data.npz")
    assert code == 0, text


def test_check_says_what_is_read_per_layer_and_target(tmp_path):
    code, text = edge_anp("check", EXAMPLE, "--json", tmp_path / "c.json")
    assert code == 0, text
    found = json.loads((tmp_path / "c.json").read_text())
    assert (found["read"], found["reasons"], found["targets"]["onnx"]) == (True, [], [])
    assert "loihi: layer 0 (lif1): a process of ours" in " ".join(text.split())
    assert "reset_mechanism='zero'" in found["notes"]["loihi"][0]
    assert found["targets"]["mcu"] == []
    assert found["sizes"]["mcu"]["flash"] > 128 * (8 + 128 + 10)


def test_check_names_every_reason_at_once(tmp_path):
    (tmp_path / "bad.py").write_text(
        "import snntorch as snn\nfrom torch import nn\n\n\ndef build():\n"
        "    return nn.Sequential(nn.Linear(6, 20), nn.GELU(), snn.Leaky(beta=0.8, init_hidden=True, inhibition=True),"
        " nn.Linear(20, 3), snn.Leaky(beta=0.9, init_hidden=True, state_quant=lambda x: x))\n"
    )
    code, text = edge_anp("check", f"{tmp_path / 'bad.py'}:build")
    assert code == 1
    assert all(word in text for word in ("GELU", "inhibition", "state_quant"))


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("check", "absent.py:build"), "absent.py"),
        (("check", __file__ + ":nothing"), "nothing"),
        (("verify", "absent", "--task", "digits"), "absent"),
        (("bench", "speedy"), "digits"),
        (("train", EXAMPLE, "--task", "dogits", "--out", "x"), "digits"),
        (("train", EXAMPLE, "--task", "digits", "--rule", "magic", "--out", "x"), "feedback-anp"),
        (("train", EXAMPLE, "--task", "digits", "--signal", "praise", "--out", "x"), "reward"),
        (("compile", EXAMPLE, "--target", "abacus", "--calibrate", "digits", "--out", "x"), "onnx"),
    ],
)
def test_a_wrong_word_is_answered_with_the_right_ones(words, hint, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, text = edge_anp(*words)
    assert code in (2, 3)
    assert hint in text
    assert not list(tmp_path.iterdir())


def test_doctor_finds_what_the_tests_run_on(tmp_path):
    code, _ = edge_anp("doctor", "--json", tmp_path / "d.json")
    assert code == 0
    found = {f["name"]: f["found"] for f in json.loads((tmp_path / "d.json").read_text())}
    assert found["torch"]
    assert "step_q" in found["target onnx"]


def test_a_factory_may_return_a_network(tmp_path):
    """A rate network is trained, read back and described; what it cannot take is said."""
    model, few = EXAMPLE.replace("my_net.py:build", "rate_net.py:series"), ("--updates", 2, "--batch", 4)
    assert edge_anp("train", model, "--task", "mackey_glass", *few, "--out", tmp_path / "a")[0] == 0
    assert json.loads((tmp_path / "a/result.json").read_text())["measure"] == "mean square error"
    assert "tanh" in edge_anp("check", tmp_path / "a/network.npz")[1]
    code, text = edge_anp("train", model, "--task", "digits", *few, "--out", tmp_path / "b")
    assert (code, "has 8 values, but the network takes 1" in text) == (2, True)
    code, text = edge_anp("check", model, "--weights", tmp_path / "w.pt")
    assert (code, "has its weights inside" in text) == (2, True)
    code, text = edge_anp("check", model.replace(":series", ":network"))
    assert (code, "missing a required argument: 'inputs'" in text) == (2, True)


def test_a_module_or_network_may_lie_in_the_file_itself(tmp_path):
    (tmp_path / "net.py").write_text(
        "import rate_net, my_net\nrates, module, no = rate_net.series(), my_net.build(), 3\n"
    )
    for name in ("rate_net.py", "my_net.py"):
        shutil.copy(Path(EXAMPLE).parent / name, tmp_path)
    assert edge_anp("check", f"{tmp_path}/net.py:module", "--shape", "8", "--target", "mcu")[0] == 0
    assert "tanh" in edge_anp("check", f"{tmp_path}/net.py:rates")[1]
    code, text = edge_anp("check", f"{tmp_path}/net.py:no")
    assert (code, "not a callable object" in text) == (2, True)


def test_ctrl_c_before_a_command_begins_is_one_line_too(monkeypatch, capsys):
    def interrupted():
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "app", interrupted)
    with pytest.raises(SystemExit, match="130"):
        cli.main()
    assert "interrupted" in capsys.readouterr().err


def test_ctrl_c_ends_training_with_one_line(tmp_path):
    many = ["--updates", "100000", "--checkpoint", "1"]
    words = ["train", EXAMPLE, "--task", "digits", *many, "--out", str(tmp_path / "run")]
    process = subprocess.Popen(
        [sys.executable, "-m", "edge_anp", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ
    )
    while process.poll() is None and not (tmp_path / "run" / checkpoint.NAME).exists():
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 130
    assert b"interrupted" in errors
    assert b"Traceback" not in errors
