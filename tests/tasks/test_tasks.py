"""Tasks: real digits, parted as the documents say, and the user's own files, whose every fault is named."""

import io
import zipfile

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_digits

from edge_anp import tasks
from edge_anp.errors import BadFile
from edge_anp.tasks.samples import Samples, split_evenly


def write(path, **entries):
    x = np.arange(10 * 3 * 2, dtype=np.float32).reshape(10, 3, 2)
    np.savez(path, **{"x": x, "y": np.arange(10) % 3, **entries})
    return path


def test_digits_are_shown_row_by_row_and_parted_by_fives():
    task, (images, labels) = tasks.load("digits"), load_digits(return_X_y=True)
    assert (len(task.train), len(task.validation), len(task.test)) == (1149, 288, 360)
    assert (task.classes, task.input.shape) == (10, (8,))
    assert task.test.rasters.shape == (360, 16, 8)
    image = images[5].reshape(8, 8) / 16  # the second sample of the test
    assert np.array_equal(task.test.rasters[1], np.repeat(image, 2, axis=0).astype(np.float32))
    assert np.array_equal(task.test.targets, labels[::5])
    assert 0 <= task.train.rasters.min() <= task.train.rasters.max() == 1


@given(st.integers(0, 200))
def test_every_fifth_is_for_the_test_and_every_fifth_of_the_rest_for_validation(count):
    split = split_evenly(count)
    assert np.array_equal(np.flatnonzero(split == 2), np.arange(0, count, 5))
    rest = [i for i in range(count) if i % 5]
    assert np.flatnonzero(split == 1).tolist() == rest[::5]


def test_a_batch_has_time_first_and_memory_of_its_own():
    samples = Samples(np.arange(12, dtype=np.float32).reshape(3, 2, 2), np.array([5, 6, 7]))
    raster, targets = samples.batch([2, 0])
    assert raster.tolist() == [[[8, 9], [0, 1]], [[10, 11], [2, 3]]]
    assert targets.tolist() == [7, 5]
    raster.zero_()
    assert samples.rasters[2, 0, 0] == 8


def test_an_npz_of_ones_own(tmp_path):
    task = tasks.load(write(tmp_path / "mine.npz"))
    assert (task.name, task.classes, task.input.shape) == ("mine", 3, (2,))
    assert [len(p) for p in (task.train, task.validation, task.test)] == [6, 2, 2]
    split = np.array([0, 0, 0, 0, 0, 0, 0, 2, 2, 1])
    task = tasks.load(write(tmp_path / "mine.npz", split=split))
    assert [len(p) for p in (task.train, task.validation, task.test)] == [7, 1, 2]
    assert task.validation.rasters[0, 0, 0] == 54
    images = np.zeros((10, 3, 1, 4, 5), np.uint8)
    task = tasks.load(write(tmp_path / "images.npz", x=images))
    assert task.input.shape == (1, 4, 5)
    assert task.train.rasters.shape == (6, 3, 20)


@pytest.mark.parametrize("y", [np.zeros((10, 3), int), np.zeros((10, 3, 7))], ids=["a class a step", "numbers"])
def test_other_targets_are_read(tmp_path, y):
    assert tasks.load(write(tmp_path / "a.npz", y=y)).train.targets.shape[1:] == y.shape[1:]


BAD = {
    "x is no raster": ({"x": np.zeros((10, 3))}, r"x is float64 \[10, 3\]"),
    "x is text": ({"x": np.full((10, 3, 2), "a")}, "x is <U1"),
    "x is empty": ({"x": np.zeros((10, 0, 2))}, r"\[10, 0, 2\]"),
    "x is not finite": ({"x": np.full((10, 3, 2), np.nan)}, "not finite"),
    "too few labels": ({"y": np.arange(9)}, "10 samples in x and 9 in y"),
    "negative label": ({"y": np.arange(10) - 1}, "label -1"),
    "float labels": ({"y": np.arange(10.0)}, r"y is float64 \[10\]"),
    "labels of other length": ({"y": np.zeros((10, 4), int)}, r"\[10, 4\] beside"),
    "numbers that are not finite": ({"y": np.full((10, 3, 1), np.inf)}, "y has numbers"),
    "split of 3": ({"split": np.full(10, 3)}, r"split is int64 \[10\].*\[3\]"),
    "short split": ({"split": np.zeros(9, int)}, r"split is int64 \[9\]"),
    "nothing to train on": ({"split": np.full(10, 2)}, "no sample is for training"),
}


@pytest.mark.parametrize(("entries", "reason"), BAD.values(), ids=BAD)
def test_a_bad_file_says_what_is_and_what_must_be(tmp_path, entries, reason):
    with pytest.raises(BadFile, match=reason) as error:
        tasks.load(write(tmp_path / "bad.npz", **entries))
    assert "bad.npz" in str(error.value)
    assert "x [S,T,I]" in str(error.value)


def test_all_reasons_come_at_once(tmp_path):
    with pytest.raises(BadFile) as error:
        tasks.load(write(tmp_path / "bad.npz", x=np.full((10, 3, 2), np.inf), y=-np.ones(9, int)))
    assert all(part in str(error.value) for part in ("not finite", "label -1", "9 in y"))


def test_files_that_are_no_npz(tmp_path):
    whole = write(tmp_path / "whole.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "foreign.npz").write_bytes(b"\x80\x04K\x01.")  # a pickle of 1
    damaged = bytearray(np_compressed())
    damaged[60:90] = bytes(30)
    (tmp_path / "damaged.npz").write_bytes(damaged)
    np.savez(tmp_path / "lacks.npz", x=np.zeros((2, 2, 2)))
    with zipfile.ZipFile(tmp_path / "words.npz", "w") as file:
        file.writestr("x", "hello")
        file.writestr("y", "hello")
    whats = {
        "cut": "a part of one",
        "foreign": "no .npz",
        "absent": "no such file",
        "lacks": "has no y",
        "words": "no array",
    }
    for name, what in {**whats, "damaged": ""}.items():
        with pytest.raises(BadFile, match=f"{name}.npz.*{what}"):
            tasks.load(tmp_path / f"{name}.npz")


def np_compressed():
    buffer = io.BytesIO()
    np.savez_compressed(buffer, x=np.random.default_rng(0).random((10, 3, 2)), y=np.arange(10))
    return buffer.getvalue()


def test_objects_in_an_npz_are_never_built(tmp_path):
    class Boom:
        def __reduce__(self):
            return (open, (str(tmp_path / "executed"), "w"))

    with zipfile.ZipFile(write(tmp_path / "a.npz"), "a"):
        pass
    np.savez(tmp_path / "evil.npz", x=np.array([Boom()], object), y=np.zeros(1, int))
    with pytest.raises(BadFile, match="never built") as error:
        tasks.load(tmp_path / "evil.npz")
    assert "allow_pickle" not in str(error.value)
    assert not (tmp_path / "executed").exists()


def function(tmp_path, body):
    path = tmp_path / "own.py"
    path.write_text(f"import numpy as np\nimport torch\n\n\ndef mine():\n{body}")
    return f"{path}:mine"


def test_a_function_of_ones_own(tmp_path):
    """Shorter rasters end in silence; tensors and arrays alike."""
    body = "    for k in range(10):\n        yield (torch.full((2 + k % 2, 4), float(k + 1)), k % 5)\n"
    task = tasks.load(function(tmp_path, body))
    assert task.train.rasters.shape == (6, 3, 4)
    whole = np.concatenate([task.train.rasters, task.validation.rasters, task.test.rasters])
    assert sorted(whole[:, 2, 0].tolist()) == [0, 0, 0, 0, 0, 2, 4, 6, 8, 10]
    assert task.classes == 5


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("    yield 3\n", "sample 0 of mine.*yields a int"),
        ("    yield [1, 2], 0\n", r"raster is int64 \[2\]"),
        ("    yield np.ones((2, 3)), 0\n    yield np.ones((2, 4)), 0\n", r"sample 1.*\(4,\), before \(3,\)"),
        ("    return []\n", "yields nothing"),
        ("    yield [[1, 2], [3]], 0\n", "raster is object"),
        ("    yield np.ones((2, 3)), [0, 1]\n    yield np.ones((2, 3)), [0, 1, 2]\n", "targets have the shapes"),
    ],
)
def test_a_bad_function_says_which_sample(tmp_path, body, reason):
    with pytest.raises(BadFile, match=reason):
        tasks.load(function(tmp_path, body))


def test_names(tmp_path):
    with pytest.raises(ValueError, match=r"'dogits'.*digits"):
        tasks.load("dogits")
    with pytest.raises(ValueError, match="--data"):
        tasks.load("digits", tmp_path)
    (tmp_path / "a.csv").write_text("1,2")
    with pytest.raises(BadFile, match="no task"):
        tasks.load(tmp_path / "a.csv")
    assert isinstance(torch.from_numpy(tasks.load("digits").test.targets), torch.Tensor)
