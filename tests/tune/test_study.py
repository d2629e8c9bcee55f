"""When a trial is ended before its last fold: beside others on the same folds only."""

import optuna
import pytest

from pipeline.tune.study import FEWEST, same_folds


def trial(*means: float, number: int = 0) -> optuna.trial.FrozenTrial:
    made = optuna.trial.create_trial(
        state=optuna.trial.TrialState.PRUNED, intermediate_values=dict(enumerate(means))
    )
    made.number = number
    return made


@pytest.mark.parametrize(("direction", "sign"), [("maximize", 1), ("minimize", -1)])
def test_a_trial_ends_where_its_mean_is_worse_than_the_median_on_the_same_folds(direction, sign):
    study = optuna.create_study(direction=direction)
    for mean in (0.1, 0.2, 0.3, 0.4):  # four came to the first fold …
        study.add_trial(trial(sign * mean))
    for mean in (0.5, 0.6):  # … and two more to the second, which is harder
        study.add_trial(trial(sign * mean, sign * (mean - 0.4)))
    rule = same_folds()
    assert rule.prune(study, trial(sign * 0.34, number=9))  # the median is 0.35
    assert not rule.prune(study, trial(sign * 0.36, number=9))
    # of the second fold only two are known: too few, however bad it is
    assert not rule.prune(study, trial(sign * 0.36, sign * -0.9, number=9))


def test_no_trial_ends_before_enough_others_have_come_as_far():
    study = optuna.create_study(direction="maximize")
    for number in range(FEWEST):
        assert not same_folds().prune(study, trial(-1.0, number=9)), number
        study.add_trial(trial(0.5))
    assert same_folds().prune(study, trial(-1.0, number=9))
