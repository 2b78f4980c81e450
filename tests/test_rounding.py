"""Compensated rounding: better products, the same grid."""

import numpy as np

from edge_anp.rounding import round_compensated


def correlated(seed: int = 0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(2000, 6)) @ rng.normal(size=(6, 24)) + 0.3 * rng.normal(size=(2000, 24))
    return rng.normal(size=(16, 24)), np.full(16, 0.05), x


def test_products_are_closer_than_with_plain_rounding():
    w, step, x = correlated()
    q = round_compensated(w, step, x.T @ x / len(x), 127)
    plain = np.clip(np.rint(w / step[:, None]), -127, 127)
    error, plain_error = (np.square((w - n * step[:, None]) @ x.T).sum() for n in (q, plain))
    assert error < 0.5 * plain_error


def test_whole_numbers_on_the_grid_within_the_limit():
    w, step, x = correlated()
    q = round_compensated(100 * w, step, x.T @ x / len(x), 127)
    assert np.array_equal(q, np.rint(q))
    assert np.abs(q).max() == 127


def test_a_matrix_on_the_grid_stays_as_it_is():
    _, step, x = correlated()
    n = np.random.default_rng(1).integers(-127, 128, (16, 24)).astype(float)
    assert np.array_equal(round_compensated(n * step[:, None], step, x.T @ x / len(x), 127), n)


def test_silent_inputs_fall_back_to_plain_rounding():
    w, step, x = correlated()
    assert np.array_equal(
        round_compensated(w, step, 0 * (x.T @ x), 127), np.clip(np.rint(w / step[:, None]), -127, 127)
    )
