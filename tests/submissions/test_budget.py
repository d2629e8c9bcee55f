from datetime import date

import pytest

from pipeline.base.config import SubmissionsConfig
from pipeline.base.errors import UsageError
from pipeline.submissions.ledger import Entry, budget

DAY = date(2026, 3, 5)


def entries(*who_when):
    return [
        Entry(day=day, file=f"{place}.csv", sha256=f"{place:064d}", by=by)
        for place, (by, day) in enumerate(who_when)
    ]


SENT = entries(
    ("ann", "2026-03-05"), ("ann", "2026-03-05"), ("bob", "2026-03-05"), ("bob", "2026-03-04")
)


def test_the_teams_budget_counts_everybodys_submissions_of_the_day():
    found = budget(SubmissionsConfig(per_day=5, until="2026-03-07"), SENT, DAY)
    assert (found.left_today(), found.days_left, found.left_in_all) == (2, 3, 12)


def test_a_members_budget_counts_their_own():
    found = budget(SubmissionsConfig(per_day=2, per="member"), SENT, DAY)
    assert [found.left_today(who) for who in ("ann", "bob", "cleo")] == [0, 1, 2]
    assert (found.left_in_all, found.days_left) == (None, None)


def test_more_than_the_budget_leaves_none():
    assert budget(SubmissionsConfig(per_day=2), SENT, DAY).left_today() == 0


def test_days_over_the_limit_are_named():
    assert budget(SubmissionsConfig(per_day=2), SENT, DAY).over == {"2026-03-05": 3}
    assert budget(SubmissionsConfig(per_day=1, per="member"), SENT, DAY).over == {"2026-03-05": 2}
    assert budget(SubmissionsConfig(per_day=3), SENT, DAY).over == {}
    assert budget(SubmissionsConfig(), SENT, DAY).over == {}


def test_nothing_is_left_after_the_last_day():
    found = budget(SubmissionsConfig(per_day=5, until="2026-03-04"), SENT, DAY)
    assert (found.days_left, found.left_today(), found.left_in_all) == (0, 0, 0)


def test_the_last_day_itself_counts():
    found = budget(SubmissionsConfig(per_day=5, until="2026-03-05"), [], DAY)
    assert (found.days_left, found.left_in_all) == (1, 5)


def test_without_a_limit_nothing_is_promised():
    found = budget(SubmissionsConfig(), SENT, DAY)
    assert (found.left_today(), found.days_left, found.used) == (None, None, {"ann": 2, "bob": 1})


def test_a_config_that_cannot_be_is_refused_with_all_reasons():
    with pytest.raises(UsageError) as caught:
        SubmissionsConfig(per_day=0, until="soon", public_share=1.5, public_rows=0)
    message = str(caught.value)
    for part in ("per_day is 0", "until is 'soon'", "public_share is 1.5", "public_rows is 0"):
        assert part in message
    assert "give one of them" in message


@pytest.mark.parametrize(
    ("config", "rows"),
    [
        (SubmissionsConfig(), None),
        (SubmissionsConfig(public_rows=40), (40, 60)),
        (SubmissionsConfig(public_rows=400), (100, 0)),
        (SubmissionsConfig(public_share=0.5), (50, 50)),
        (SubmissionsConfig(public_share=0.001), (1, 99)),
    ],
)
def test_public_and_private_rows(config, rows):
    assert config.rows(100) == rows
