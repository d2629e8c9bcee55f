"""Foldstack: from a competition's csv files to a submission whose score you can believe.

Stages, one command each:

    init      looks at the files, writes configs/NAME.yaml, says what it saw
    folds     freezes the folds to folds/NAME.csv with their passport
    cv        trains models fold by fold, leaves out-of-fold predictions in oof/NAME/RUN/
    ensemble  fits blend weights on them, scores them honestly, writes submissions/

Around them: `team` takes a team-mate's predictions in, `worth` says whether a candidate is worth
adding, `ledger` keeps what was sent, `finalists` proposes the last two, `rebuild` makes a file
again, `doctor` says whether what they all left is whole, `watch` shows trainings while they run,
`report` and `wrapup` write it all down; `pretrain` comes before `cv` where a backbone is to know
the texts, and `distil` makes one model of an ensemble. After the launch `predict`, `bundle` and
`serve` answer new rows, and `monitor` says whether these are still like those of train.
`pipeline.api` is the same for a notebook.

Axis letters, used alone in docstrings everywhere: n train rows, m test rows, h holdout rows,
s texts per row, k prediction columns, K folds, R repeats, M models, B batch, T tokens, H hidden.
"""

__version__ = "0.1.0"
