"""The submission before there are predictions: whatever would keep it from being written is said
before hours go into training."""

import numpy as np

from pipeline.base import Competition
from pipeline.data import Tables
from pipeline.metrics import Metric
from pipeline.problems.form import Form
from pipeline.submissions.submission_file import build, check

FLOOR = 1e-6
"""How far from 0 and 1 probabilities are kept."""


def try_submission(competition: Competition, tables: Tables, metric: Metric) -> Form:
    """Build the file once from predictions that are all alike, and write none; its form.

    Raises DataError where the sample's columns, ids, classes or codes do not fit the competition,
    UsageError where the config asks for what the sample cannot hold.
    """
    task, targets = competition.task, tables.train.targets
    problem = task.problem_type
    form = problem.form(task, competition.columns.targets, metric.needs, tables.sample)
    assert targets is not None, "train is labelled"
    limits = task.label_range or (float(np.min(targets)), float(np.max(targets)))
    shape = (len(tables.test.ids), len(competition.outputs))
    middle = sum(limits) / 2 if problem.numeric else 0.5
    predicted = problem.within_range(np.full(shape, middle), FLOOR)
    ids = tables.test.ids.tolist()
    check(ids, tables.sample.ids.tolist(), predicted)
    build(tables.sample, ids, problem.texts(form, task, predicted, limits))
    return form
