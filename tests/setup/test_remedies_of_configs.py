"""As in `test_remedies`, of what comes later: tables beside the rows, a config, frozen folds.

A case of a config is options of `pipeline.folds` or a change of the folder, the words of the
remedy, and the remedy in their place. After it the folds are there, and a submission can be built.
"""

import json
import shlex
import shutil
from pathlib import Path

import pandas as pd
import pytest

from pipeline import init
from pipeline.base.command import run
from pipeline.data.tables import load
from pipeline.folds import __main__ as folds
from pipeline.metrics import get_metric
from pipeline.submissions.submission_file import try_submission
from tests.nightly import every
from tests.setup.test_remedies import (
    SAMPLE,
    TEST,
    TRAIN,
    Change,
    as_before,
    assert_the_remedy_works,
    assigned,
    both,
    changed,
    labels,
    rewritten,
    without,
)
from tests.setup.test_remedies_of_rows import added, cell
from tests.test_shapes import competition, save

# Folders of tags and spans.


def tagged(folder: Path) -> None:
    """Texts in one line and their tags in lists."""
    for name, rows in ((TRAIN, 20), (TEST, 6)):
        frame = pd.DataFrame({"id": [f"{name[:2]}{row}" for row in range(rows)]})
        frame["words"] = [f"Bo saw Rome{row}!" for row in range(rows)]
        if name == TRAIN:
            frame["ner"] = json.dumps(["B-PS", "O", "B-LC", "O"])
        frame.to_csv(folder / name, index=False)
    (folder / SAMPLE).unlink()


def listed(folder: Path) -> None:
    """The words of `tagged` as lists."""
    for name in (TRAIN, TEST):
        frame = pd.read_csv(folder / name, dtype=str)
        frame["words"] = [json.dumps([*text[:-1].split(), "!"]) for text in frame["words"]]
        frame.to_csv(folder / name, index=False)


NUMBERS_OF = {"O": 0, "B-PS": 1, "B-LC": 2}


def numbered(folder: Path) -> None:
    """Numbers in place of tags, and such a column in test that says nothing."""
    both(tagged, listed)(folder)
    for name in (TRAIN, TEST):
        frame = pd.read_csv(folder / name, dtype=str)
        tags = frame.get("ner", pd.Series([json.dumps(["O"] * 4)] * len(frame)))
        numbers = [json.dumps([NUMBERS_OF[tag] for tag in json.loads(cell)]) for cell in tags]
        frame.assign(ner_tags=numbers).drop(columns="ner", errors="ignore").to_csv(
            folder / name, index=False
        )
    changed(TEST, lambda frame: frame.drop(columns="ner_tags"))(folder)


def named_again(folder: Path) -> None:
    names = {str(number): tag for tag, number in NUMBERS_OF.items()}

    def again(frame: pd.DataFrame) -> pd.DataFrame:
        cells = [json.loads(cell) for cell in frame["ner_tags"]]
        return frame.assign(ner_tags=[json.dumps([names[str(n)] for n in own]) for own in cells])

    changed(TRAIN, again)(folder)


def spans(end: str) -> Change:
    """Texts and a file with a row per span; *end* is that of the first one."""

    def make(folder: Path) -> None:
        for name, rows in (("train", 20), ("test", 6)):
            frame = pd.DataFrame({"id": [f"{name}{row}" for row in range(rows)]})
            save(folder, **{name: frame.assign(text=[f"Bo saw Rome {row}" for row in range(rows)])})
        marks = pd.DataFrame(
            {"id": [f"train{row}" for row in range(20)], "start": "7", "end": "11"}
        )
        marks.loc[0, "end"] = end
        save(folder, train_spans=marks.assign(label="LC"))
        (folder / SAMPLE).unlink()

    return make


def rows_of_spans(folder: Path) -> None:
    """Spans in place of train, each text with two."""
    spans("11")(folder)
    marks = pd.read_csv(folder / "train_spans.csv", dtype=str)
    more = marks.assign(start="0", end="2", label="PS")
    save(folder, train=pd.concat([marks, more]))
    (folder / "train_spans.csv").unlink()


def texts_and_spans(folder: Path) -> None:
    marks = pd.read_csv(folder / TRAIN, dtype=str)
    frame = pd.DataFrame({"id": [f"train{row}" for row in range(20)]})
    texts = [f"Bo saw Rome {row}" for row in range(20)]
    save(folder, train=frame.assign(text=texts), train_spans=marks)


def first_words(frame: pd.DataFrame) -> pd.DataFrame:
    """The first word of each title is the answer."""
    return frame.assign(topic=frame["title"].str.split().str[0])


def row_per_word(folder: Path) -> None:
    """A word and its tag in each row; where a text begins, its number."""
    rows = [["Bo", "B-PS"], ["saw", "O"], ["Rome", "B-LC"]]
    for name, count in (("train", 12), ("test", 6)):
        cells = [
            [str(row) if at == 0 else "", *each]
            for row in range(count)
            for at, each in enumerate(rows)
        ]
        frame = pd.DataFrame(cells, columns=["Sentence #", "Word", "Tag"])
        save(folder, **{name: frame if name == "train" else frame.drop(columns="Tag")})
    (folder / SAMPLE).unlink()


def unit_per_line(folder: Path) -> None:
    for name in (TRAIN, TEST):
        frame = pd.read_csv(folder / name, dtype=str, keep_default_na=False)
        lines = [
            "\n" * bool(number and at) + "\t".join(cells)
            for at, (number, *cells) in enumerate(frame.to_numpy().tolist())
        ]
        (folder / name).with_suffix(".txt").write_text("\n".join(lines), encoding="utf-8")
        (folder / name).unlink()


def spans_inside(folder: Path) -> None:
    """A list of spans in each row, whose ends are their last characters."""
    spans("11")(folder)
    train = pd.read_csv(folder / TRAIN, dtype=str)
    told = train.assign(label=json.dumps([[0, 1, "PS"], [7, 10, "LC"]])).to_dict("records")
    rows = [json.dumps({**row, "label": json.loads(row["label"])}) for row in told]
    (folder / "train.jsonl").write_text("\n".join(rows), encoding="utf-8")
    without(TRAIN, "train_spans.csv")(folder)


def spans_outside(folder: Path) -> None:
    lines = (folder / "train.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    told = [[row["id"], *span] for row in rows for span in row["label"]]
    marks = pd.DataFrame(told, columns=["id", "start", "end", "label"])
    save(folder, train=pd.DataFrame(rows).drop(columns="label"), train_spans=marks)
    (folder / "train.jsonl").unlink()


ANSWERS = labels(*(json.dumps([f"an answer in {row} words"]) for row in range(60)))
FOLDERS = [
    (row_per_word, "", "with an empty line between two texts", unit_per_line),
    (spans_inside, "", "Write them into train_spans.csv beside it", spans_outside),
    (numbered, "", "Write their names in place of them", named_again),
    (numbered, "", "or, where they are the names, name them all", "--classes O 0 1 2"),
    (tagged, "", "or write such a column into both files", listed),
    (rows_of_spans, "", "rows into train_spans.csv (id, start, end, label)", texts_and_spans),
    (spans("99"), "", "Mend these", cell("train_spans.csv", "end", "11", 0)),
    (
        spans("99"),
        "",
        "or leave the file out (--no-joins)",
        both(without("train_spans.csv"), as_before(TRAIN), as_before(TEST)),
    ),
    (ANSWERS, "", "say so: --problem text", "--problem text"),
    (
        both(labels("none"), without(SAMPLE)),
        "--problem span",
        "are another problem",
        changed(TRAIN, first_words),
    ),
    (
        both(changed(TRAIN, first_words), assigned(TRAIN, more="none"), without(SAMPLE)),
        "--problem span --target more",
        "Name them with --target and --text",
        "--problem span --target topic --text title",
    ),
]


@pytest.mark.parametrize(
    ("spoil", "asked", "said", "remedy"), FOLDERS, ids=[each[2][:30] for each in FOLDERS]
)
def test_tags_and_spans_say_what_to_do(tmp_path, capsys, spoil, asked, said, remedy):
    assert_the_remedy_works(tmp_path, capsys, spoil, asked, said, remedy)


# A config that was written.


def prepared(argv: list[str]) -> int:
    """The first steps of cv: a submission is built dry, and folds are frozen or checked."""
    options = folds.parser()
    args = options.read(argv)
    asked = options.competition(args)
    metric = get_metric(asked.task.metric, asked.task, Path(args.root))
    try_submission(asked, load(asked, Path(args.root)), metric)
    return folds.main(argv)


def parts(*ids: str) -> Change:
    """Train in parts, whose ids are called so."""

    def make(folder: Path) -> None:
        train = pd.read_csv(folder / TRAIN, dtype=str)
        for number, name in enumerate(ids):
            part = train.iloc[number :: len(ids)].rename(columns={"id": name})
            save(folder, **{f"part-{number}": part})

    return make


def korean(text: bytes) -> bytes:
    return text.decode().replace("market", "가격").encode("cp949")


def sample(**columns: str) -> Change:
    return changed(SAMPLE, lambda frame: frame[["id"]].assign(**columns))


def mine(change: Change = lambda _: None) -> Change:
    """A fold file of one's own, with *change*."""

    def make(folder: Path) -> None:
        train = pd.read_csv(folder / TRAIN, dtype=str)
        own = train[["id"]].assign(fold=[str(row // 3 % 5) for row in range(len(train))])
        save(folder, mine=own)
        change(folder)

    return make


def whole(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(fold=["0" if row % 3 == 1 else f"{row % 5}" for row in range(60)])


def frozen(change: Change) -> Change:
    """*change* of the folder after the folds were frozen."""

    def make(folder: Path) -> None:
        root = folder.parent
        config = str(root / "configs" / "topics.yaml")
        assert run(folds.main, ["--root", str(root), "--config", config]) == 0
        change(folder)

    return make


def gone(name: str) -> Change:
    return lambda folder: (folder.parent / "folds" / name).unlink()


def foreign(folder: Path) -> None:
    """Other folds without a passport."""
    gone("topics.json")(folder)
    path = folder.parent / "folds" / "topics.csv"
    frame = pd.read_csv(path, dtype=str)
    frame.assign(fold=frame["fold"].map(lambda fold: str((int(fold) + 1) % 5))).to_csv(
        path, index=False
    )


def moved(folder: Path) -> None:
    (folder.parent / "folds" / "topics.csv").rename(folder / "moved.csv")


def edited(folder: Path) -> None:
    path = folder.parent / "folds" / "topics.json"
    path.write_text(path.read_text().replace('"rows": 60', '"rows": 61'))


def thaw(folder: Path) -> None:
    for path in (folder.parent / "folds").iterdir():
        path.unlink()


PROMPTS = added("prompts", key=["art", "money", "state"], about=["a", "b", "c"])
FEW = added("prompts", key=["art", "money"], about=["a", "b"])
BIG = added("prompts", key=["Art", "money", "state"], about=["a", "b", "c"])
TWICE = added("prompts", key=["art", "art", "money", "state"], about=["a", "a", "b", "c"])
SAME = added("prompts", key=["art", "money", "state"], title=["a", "b", "c"])


def join(key: str = "topic", column: str = "about", prefix: str = "", their: str = "key") -> str:
    asked = {"file": "data/prompts.csv", "to": ["train"], "key": key, "columns": [column]}
    asked |= {"file_key": their, "prefix": prefix}
    return f"--data.joins '{json.dumps([asked])}'"


CODES = """--task.class_codes '["3","1","2"]'"""
OWN = "--folds.groups exact --folds.file data/mine.csv"
NO_SAMPLE = "--data.sample_submission ''"
MOVED = "--folds.file data/moved.csv"
PARTS = "--data.train 'data/part-*.csv'"


SINGLE = assigned(TRAIN, topic=["money", "art"] * 29 + ["art", "state"])
AUTHORS = "--columns.features [author] --folds.group_columns [author] --folds.groups none"
THREE = both(
    assigned(TRAIN, author=[f"w{row // 20}" for row in range(60)]), assigned(TEST, author="w")
)
NEAR = "--folds.near_threshold 0.01"
SAME_TEXTS = assigned(TRAIN, title="one text")
four = changed("mine.csv", lambda frame: frame.assign(fold=[f"{n // 3 % 4}" for n in range(60)]))


def nothing(_: Path) -> None:
    """The folder stays."""


def same(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(fold="1")


# options, a change, the words of the remedy, options, a change
CONFIGS: list[tuple[str, Change, str, str, Change]] = [
    # how files are read
    ("", rewritten(TRAIN, korean), "--data.encoding cp949 (in", "--data.encoding cp949", nothing),
    ("--data.train data/trian.csv", nothing, "did you mean train.csv?", "", nothing),
    ("--data.train data/x.parquet", nothing, "or name the right one", "", nothing),
    ("--data.train data", nothing, "name one in it", "--data.train data/train.csv", nothing),
    (PARTS, nothing, "with a number in place of the star", PARTS, parts("id", "id")),
    (PARTS, parts("id", "key"), "Call the columns alike", PARTS, parts("id", "id")),
    (
        PARTS,
        parts("id", "key"),
        "or read one of them, and the others as data.extra_train",
        "--data.train data/part-0.csv --data.extra_train [data/part-1.csv]",
        changed("part-1.csv", lambda frame: frame.rename(columns={"key": "id"})),
    ),
    ("--columns.texts [titel]", nothing, "the right one in the config's", "", nothing),
    ("--data.extra_train [data/train.csv]", nothing, "or the file out of the config", "", nothing),
    # labels and classes
    ("--task.classes [art,money,sport]", nothing, "name all classes", "", nothing),
    ("--task.classes [art,money,state,sport]", nothing, "Take it out of the config", "", nothing),
    ("--task.problem binary", nothing, "needs 2: negative, positive", "", nothing),
    ("--task.classes [art,money]", nothing, "name all", "", nothing),
    # the sample
    ("--task.submit value", nothing, "task.submit to auto or label", "", nothing),
    (
        f"--columns.targets [same] --task.problem regression --task.classes [] {NO_SAMPLE} "
        "--task.metric rmse",
        assigned(TRAIN, same="1"),
        "there is nothing to learn. Is columns.targets the right column?",
        "",
        nothing,
    ),
    ("", sample(a="0.5", b="0.5"), "Call them alike in both files", "", sample(topic="art")),
    ("", sample(topic="1"), "Set task.class_codes", CODES, nothing),
    # tables beside the rows
    (join(key="topik"), PROMPTS, "as the key of the join", join(), nothing),
    (join(column="abaut"), PROMPTS, "the right ones in data.joins", join(), nothing),
    (join(), FEW, "Add their rows", join(), PROMPTS),
    (join(), FEW, "or leave it out", "", nothing),
    (join(), BIG, "Write them alike in both files", join(), PROMPTS),
    (join(), TWICE, "take the others out", join(), PROMPTS),
    (join(column="title"), SAME, "(prefix: other_)", join(column="title", prefix="o_"), nothing),
    # folds
    ("--folds.count 90", nothing, "Get more rows", "--folds.count 6", nothing),
    ("", SINGLE, "set folds.rare to train-only", "--folds.rare train-only", nothing),
    (AUTHORS, THREE, "set folds.count to 3", f"{AUTHORS} --folds.count 3", nothing),
    (AUTHORS, THREE, "take author out of folds.group_columns", "", nothing),
    (NEAR, nothing, "set folds.groups to exact", f"{NEAR} --folds.groups exact", nothing),
    (NEAR, SAME_TEXTS, "set folds.groups to none", f"{NEAR} --folds.groups none", nothing),
    (OWN, mine(four), "If that is meant, set folds.count to 4", f"{OWN} --folds.count 4", nothing),
    (OWN, nothing, "Put it back", OWN, mine()),
    (OWN, mine(cell("mine.csv", "id", "x")), "has to have each id of", OWN, mine()),
    (OWN, mine(cell("mine.csv", "fold", "x")), "a whole number from 0", OWN, mine()),
    (OWN, mine(changed("mine.csv", same)), "expected 0 to 4", OWN, mine()),
    (OWN, mine(changed("mine.csv", whole)), "Move one of them to another fold", OWN, mine()),
    ("", frozen(foreign), "or delete it to have folds made", "", gone("topics.csv")),
    ("", frozen(foreign), "set folds.file to it", MOVED, moved),
    ("", frozen(edited), "Restore it (git checkout)", "", thaw),
    ("", frozen(cell(TRAIN, "topic", "art")), "Put back what has changed", "", as_before(TRAIN)),
    ("", frozen(cell(TRAIN, "topic", "art")), "Or delete topics.csv and topics.json", "", thaw),
]


@pytest.fixture(scope="module")
def configured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose config init has written."""
    root = tmp_path_factory.mktemp("topics")
    train, test, rows = competition(root / "data")
    save(root / "data", train=train, test=test, sample_submission=rows)
    assert run(init.main, [str(root / "data"), "--root", str(root), "--name", "topics"]) == 0
    return root


@pytest.mark.parametrize(
    ("asked", "spoil", "said", "remedy", "change"),
    every(2, CONFIGS),
    ids=[f"{n} {each[2][:30]}" for n, each in enumerate(CONFIGS)],
)
def test_a_config_that_does_not_fit_says_what_to_do(
    tmp_path, capsys, configured, asked, spoil, said, remedy, change
):
    shutil.copytree(configured, tmp_path, dirs_exist_ok=True)
    assert_the_remedy_mends_it(tmp_path, capsys, spoil, asked, said, remedy, change)


def assert_the_remedy_mends_it(
    root: Path,
    capsys: pytest.CaptureFixture[str],
    spoil: Change,
    asked: str,
    said: str,
    remedy: str,
    change: Change,
) -> None:
    """The steps before cv refuse and say so; with the *remedy* and the *change* they pass."""
    where = ["--root", str(root), "--config", str(root / "configs" / "topics.yaml")]
    spoil(root / "data")
    assert run(prepared, [*where, *shlex.split(asked)]) in (2, 3, 5)
    message = " ".join(capsys.readouterr().err.split())
    assert said in message
    assert "Traceback" not in message
    change(root / "data")
    assert run(prepared, [*where, *shlex.split(remedy)]) == 0, capsys.readouterr().err


# Forms of a submission that a sample changed, or a config, after init.


def two_targets(**sample_columns: str) -> Change:
    """Two targets of classes, and what the sample has of them."""

    def make(folder: Path) -> None:
        kinds = {"kind": ["fact", "guess"] * 30, "tense": ["past", "now", "now"] * 20}
        assigned(TRAIN, **kinds)(folder)
        changed(TRAIN, lambda frame: frame.drop(columns="topic"))(folder)
        sample(**(sample_columns or {"kind": "fact", "tense": "now"}))(folder)

    return make


def listed_shares(count: int) -> Change:
    return sample(topic="fact", shares=json.dumps([1 / count] * count))


def long_answers(folder: Path) -> None:
    labels(*(f"an answer in so many as {row} words" for row in range(60)))(folder)
    (folder / SAMPLE).unlink()


NAMED_SHARES = {f"{name}": "0.5" for name in ("kind_fact", "kind_guess", "tense_now", "tense_past")}
JOINED = sample(answer="fact-past")
# what init sees, what changes, options, the words of the remedy, options, a change
FORMS: list[tuple[Change, Change, str, str, str, Change]] = [
    (
        two_targets(),
        nothing,
        "--task.submit value",
        "Set task.submit to auto or label",
        "",
        nothing,
    ),
    (two_targets(), JOINED, "", "set task.separator", "--task.separator=-", nothing),
    (two_targets(), JOINED, "--task.separator=/", "what parts them", "--task.separator=-", nothing),
    (two_targets(), JOINED, "--task.separator=/", "take the sample away", NO_SAMPLE, nothing),
    (
        two_targets(),
        sample(**NAMED_SHARES),
        "--task.submit label",
        "auto or value",
        "--task.submit auto",
        nothing,
    ),
    (long_answers, nothing, "--task.submit value", ". Set it to auto or label", "", nothing),
    (spans("11"), nothing, "--task.submit value", ". Set it to auto or label", "", nothing),
    (
        nothing,
        sample(topic="[0.5, 0.2, 0.2, 0.1]"),
        "",
        "name all classes in task.classes",
        "--task.classes [art,money,sport,state] --folds.rare train-only",
        nothing,
    ),
    (
        nothing,
        sample(a="art", topics="[0.5, 0.3, 0.2]", b="art"),
        "",
        "call it so there",
        "",
        sample(topic="art", topics="[0.5, 0.3, 0.2]", b="art"),
    ),
]


@pytest.mark.parametrize(
    ("make", "spoil", "asked", "said", "remedy", "change"),
    FORMS,
    ids=[f"{n} {each[3][:30]}" for n, each in enumerate(FORMS)],
)
def test_a_form_that_cannot_be_written_says_what_to_do(
    tmp_path, capsys, make, spoil, asked, said, remedy, change
):
    folder = tmp_path / "data"
    train, test, rows = competition(folder)
    save(folder, train=train, test=test, sample_submission=rows)
    make(folder)
    assert run(init.main, [str(folder), "--root", str(tmp_path), "--name", "topics"]) == 0
    capsys.readouterr()
    assert_the_remedy_mends_it(tmp_path, capsys, spoil, asked, said, remedy, change)
