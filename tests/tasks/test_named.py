"""Named tasks: computed ones obey their equations; readers are shown files of the form they read, and files that are not."""

import gzip

import numpy as np
import pytest

from edge_anp import tasks
from edge_anp.errors import BadFile
from edge_anp.tasks import recordings, sequences


def test_mackey_glass_obeys_its_equation_and_is_recalled_or_forecast():
    x = sequences.series(2, 400)
    assert x.shape == (2, 400)
    assert abs(x.mean()) < 1e-12
    assert not np.allclose(x[0], x[1])
    again = sequences.series(2, 400)
    assert np.array_equal(x, again)
    recall, forecast = tasks.load("mackey_glass"), tasks.load("mackey_glass_forecast")
    lag = sequences.LAG
    assert np.array_equal(recall.train.targets[:, lag:], recall.train.rasters[:, :-lag])
    assert np.array_equal(forecast.train.targets[:, :-lag], forecast.train.rasters[:, lag:])
    assert 0.03 < float((recall.test.targets**2).mean()) < 0.06  # 0.047 in the source paper's series


def test_copying_has_to_be_remembered_and_its_parts_are_disjoint():
    task = tasks.load("copying")
    parts = [task.train, task.validation, task.test]
    n = sequences.LENGTH
    seen = [{tuple(s.argmax(1)[:n]) for s in p.rasters} for p in parts]
    assert sum(map(len, seen)) == sum(map(len, parts))
    assert not seen[0] & seen[1] | seen[0] & seen[2] | seen[1] & seen[2]
    x, y = task.test.rasters.argmax(2), task.test.targets
    assert np.array_equal(y[:, -n:], x[:, :n])
    assert (y[:, :-n] == 0).all()
    assert (x[:, -n:] == sequences.SYMBOLS - 1).all()
    assert set(np.unique(x[:, :n])) == set(range(1, 9))


def test_weather_is_an_hour_ahead(tmp_path, monkeypatch):
    monkeypatch.setattr(recordings, "TEST_ROW", 480)
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(700, 12))
    names = "date,Visibility,DryBulbFarenheit,DryBulbCelsius,e,f,DewC,h,i,j,k,l,WetBulbCelsius"
    path = tmp_path / "WTH.csv"
    path.write_text("\n".join([names, *(f"1/1/2010 {k}:00," + ",".join(map(str, r)) for k, r in enumerate(rows))]))
    task = tasks.load("weather", path)
    assert (task.input.shape, task.input.dt) == ((9,), 3600.0)
    assert np.array_equal(task.train.targets[:, :-1, 0], task.train.rasters[:, 1:, 1])
    wanted = (rows - rows.min(0)) / np.ptp(rows, axis=0)
    kept = np.delete(wanted, [2, 5, 11], 1)
    np.testing.assert_allclose(task.test.rasters[0], kept[480:528], rtol=1e-5)
    assert len(task.train) + len(task.validation) == 9
    (tmp_path / "bad.csv").write_text("date,a\nx,1\n")
    with pytest.raises(BadFile, match="12 numbers a row"):
        tasks.load("weather", tmp_path / "bad.csv")


def idx(path, array, header):
    path.write_bytes(gzip.compress(bytes(header) + array.astype(np.uint8).tobytes()))


def test_mnist_by_rows_and_by_permuted_pixels(tmp_path):
    rng = np.random.default_rng(0)
    images = {"train": rng.integers(0, 256, (20, 28, 28)), "t10k": rng.integers(0, 256, (5, 28, 28))}
    for part, x in images.items():
        idx(tmp_path / f"{part}-images-idx3-ubyte.gz", x, 16)
        idx(tmp_path / f"{part}-labels-idx1-ubyte.gz", np.arange(len(x)) % 10, 8)
    rows, pixels = tasks.load("mnist", tmp_path), tasks.load("psmnist", tmp_path)
    assert (rows.train.rasters.shape, len(rows.validation), rows.test.rasters.shape) == ((16, 28, 28), 4, (5, 28, 28))
    np.testing.assert_allclose(rows.test.rasters * 255, images["t10k"], rtol=1e-6)
    assert pixels.test.rasters.shape == (5, 784, 1)
    assert not np.array_equal(pixels.test.rasters[0, :, 0], rows.test.rasters[0].ravel())
    assert np.array_equal(np.sort(pixels.test.rasters[0, :, 0]), np.sort(rows.test.rasters[0].ravel()))
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(b"no gzip")
    with pytest.raises(BadFile, match="damaged"):
        tasks.load("mnist", tmp_path)


def test_braille_counts_two_steps_as_one(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.integers(0, 2, (8, 256, 12)).astype(np.uint8)
    packed = np.packbits(x.reshape(8, -1), axis=1)
    split = np.array([0, 0, 0, 0, 1, 1, 2, 2])
    np.savez(tmp_path / "braille7_or_th1_5ms.npz", x_packed=packed, shape=x.shape, labels=np.arange(8) % 7, split=split)
    task = tasks.load("braille7", tmp_path)
    assert np.array_equal(task.test.rasters, x[6:].reshape(2, 128, 2, 12).sum(2))
    assert (task.classes, len(task.train), len(task.validation)) == (7, 4, 2)


def test_spoken_digits_become_bands(tmp_path):
    t = np.arange(8000) / 8000
    low, high = ((8000 * np.sin(2 * np.pi * f * t)).astype(np.int16) for f in (200, 3000))
    pcm = np.concatenate([low, high, low[:100]])
    np.savez(
        tmp_path / "fsdd_8khz_int16.npz",
        pcm=pcm,
        offsets=[0, 8000, 16000, 16100],
        digit=[1, 2, 1],
        speaker=[0, 3, 3],
        is_test=[False, False, True],
    )
    task = tasks.load("fsdd", tmp_path)
    every = np.concatenate([task.train.rasters, task.validation.rasters])
    assert every.shape == (2, 50, 48)
    assert np.asarray(task.test.groups).tolist() == [3]
    above = every[:, 10:40, :24].mean(1).argmax(1)  # the loudest band of each tone
    assert abs(int(above[0]) - int(above[1])) > 8
    assert (every >= 0).all()
    assert (every[:, :, :24] * every[:, :, 24:] == 0).all()


def test_keywords(tmp_path):
    x = np.arange(10 * 490).reshape(10, 49, 10).astype(np.int8)
    np.savez(tmp_path / "kws01_mfcc_int8.npz", x=x, y=np.arange(10, dtype=np.uint8))
    task = tasks.load("kws", tmp_path)
    assert np.array_equal(task.test.rasters, x[::5].astype(np.float32) / 128)


@pytest.mark.parametrize("name", sorted(recordings.READERS))
def test_data_that_are_not_there_are_asked_for(tmp_path, monkeypatch, name):
    monkeypatch.delenv("EDGE_ANP_DATA", raising=False)
    with pytest.raises(BadFile, match=r"--data or by the environment variable EDGE_ANP_DATA"):
        tasks.load(name)
    with pytest.raises(BadFile, match="not there"):
        tasks.load(name, tmp_path)


@pytest.mark.parametrize("name", ["braille7", "fsdd", "kws"])
def test_a_foreign_file_is_named(tmp_path, name):
    path = tmp_path / "x.npz"
    path.write_bytes(b"nonsense")
    with pytest.raises(BadFile, match=r"it is no \.npz"):
        tasks.load(name, path)
