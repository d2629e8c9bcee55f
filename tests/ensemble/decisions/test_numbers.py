"""Clip, rounding, and classes that the file's form asks for."""

import numpy as np
import pytest

from pipeline.ensemble.decisions.decision import Labelled
from pipeline.ensemble.decisions.rounding import Labels, clip_to, fit_grid, grid_of, has_grid


def rows_of(truth, predicted):
    return Labelled(np.array(truth), np.array(predicted), np.arange(len(truth)))


def test_a_clip_cuts_to_the_range_and_counts_what_lay_outside():
    clip = clip_to((0.0, 5.0))(rows_of([[0.0], [2], [5]], [[-1.0], [2.5], [7]]))
    assert clip.apply(np.array([[-1.0], [2.5], [7]])).ravel().tolist() == [0, 2.5, 5]
    assert clip.says([]) == "to 0 … 5; 2 out-of-fold rows lie outside"


@pytest.mark.parametrize(
    ("labels", "found"),
    [
        (np.arange(51) / 10, "to steps of 0.1 from 0 to 5"),
        (np.array([0, 0.2, 0.4, 1.0]), "to steps of 0.2 from 0 to 1"),
        (np.array([1.0, 2, 3, 5]), "to steps of 1 from 1 to 5"),
        (np.array([0, 1 / 6, 1 / 7, 0.2, 1]), "to the 5 values that labels have"),
        (np.linspace(0, 1, 300), "no grid"),
        (np.array([2.0]), "no grid"),
    ],
)
def test_the_grid_is_read_off_the_labels(labels, found):
    many = np.tile(labels, 6)[:, None]
    grid = fit_grid(rows_of(many, many))
    assert grid.says(["label"]) == found
    assert has_grid(many) == (found != "no grid")
    np.testing.assert_array_equal(grid.apply(many), many)


def test_numbers_go_to_the_nearest_value_of_the_grid():
    grid = fit_grid(rows_of(np.tile([0.0, 0.5, 1.0], 6)[:, None], np.zeros((18, 1))))
    values = np.array([[-3.0], [0.2], [0.25], [0.7], [9.0]])
    assert grid.apply(values).ravel().tolist() == [0, 0, 0.5, 0.5, 1]


def test_a_few_distinct_labels_in_few_rows_are_no_grid():
    assert len(grid_of(np.array([0.1, 0.2, 0.3]))) == 0


def test_several_columns_have_their_own_grids():
    truth = np.stack([np.tile([0.0, 1], 30), np.linspace(0, 1, 60)], axis=1)
    grid = fit_grid(rows_of(truth, truth))
    assert grid.apply(np.array([[0.8, 0.8]])).tolist() == [[1.0, 0.8]]
    assert grid.says(["a", "b"]) == "a to steps of 1 from 0 to 1, b no grid"


@pytest.mark.parametrize(
    ("problem", "predicted", "found"),
    [
        ("regression", [[0.4], [7.0]], [[0], [5]]),
        ("binary", [[0.5], [0.4]], [[1], [0]]),
        ("multilabel", [[0.5, 0.1]], [[1, 0]]),
        ("multiclass", [[0.2, 0.5, 0.3]], [[0, 1, 0]]),
    ],
)
def test_a_file_of_classes_gets_classes(problem, predicted, found):
    assert Labels(problem, (0.0, 5.0)).apply(np.array(predicted)).tolist() == found
