"""Each sentence by which a folder is refused ends in something to do; here it is done.

A case is a folder that fails, the flags it was asked with, the words of the remedy in the message,
and the remedy: further flags of init, or what is done to the folder. After it init writes a config,
and with that its folds are made.
"""

import bz2
import gzip
import json
import shlex
import zipfile
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from pipeline import init
from pipeline.base.command import run
from pipeline.folds import __main__ as folds
from tests.nightly import every
from tests.test_shapes import competition, save

Change = Callable[[Path], object]
Case = tuple[Change, str, str, str | Change]
TRAIN, TEST, SAMPLE = "train.csv", "test.csv", "sample_submission.csv"


def changed(name: str, change: Callable[[pd.DataFrame], pd.DataFrame]) -> Change:
    """The table *name* of a folder is changed."""

    def apply(folder: Path) -> None:
        frame = pd.read_csv(folder / name, dtype=str, keep_default_na=False)
        change(frame).to_csv(folder / name, index=False)

    return apply


def rewritten(name: str, change: Callable[[bytes], bytes]) -> Change:
    """The bytes of the file *name* are changed."""
    return lambda folder: (folder / name).write_bytes(change((folder / name).read_bytes()))


def both(*changes: Change) -> Change:
    """One change after the other."""
    return lambda folder: [change(folder) for change in changes]


def without(*names: str) -> Change:
    """Files are taken away."""
    return lambda folder: [(folder / name).unlink() for name in names]


def renamed(name: str, new: str) -> Change:
    """A file gets another name."""
    return lambda folder: (folder / name).rename(folder / new)


def assigned(name: str, **columns: object) -> Change:
    """Columns of the table *name* are set."""
    return changed(name, lambda frame: frame.assign(**columns))


def as_before(name: str) -> Change:
    """The file *name* as `competition` makes it."""

    def apply(folder: Path) -> None:
        made = dict(zip((TRAIN, TEST, SAMPLE), competition(folder / "again"), strict=True))
        (folder / "again").rmdir()
        made[name].to_csv(folder / name, index=False)

    return apply


def packed(name: str, *members: str) -> Change:
    """The *members* of a folder go into an archive *name* in it."""

    def apply(folder: Path) -> None:
        with zipfile.ZipFile(folder / name, "w") as archive:
            for member in members:
                archive.write(folder / member, member)
                (folder / member).unlink()

    return apply


def unpacked(name: str) -> Change:
    def apply(folder: Path) -> None:
        with zipfile.ZipFile(folder / name) as archive:
            archive.extractall(folder)
        (folder / name).unlink()

    return apply


def into(name: str, new: str, write: Callable[[pd.DataFrame, Path], object]) -> Change:
    """The table *name* is written as another file *new*."""

    def apply(folder: Path) -> None:
        write(pd.read_csv(folder / name, dtype=str), folder / new)
        (folder / name).unlink()

    return apply


def json_lines(frame: pd.DataFrame, path: Path) -> None:
    frame.to_json(path, orient="records", lines=True)


def labels(*values: str) -> Change:
    """The topics of train are these, over and over."""
    return assigned(TRAIN, topic=[values[row % len(values)] for row in range(60)])


TOPIC = pd.Series(["money", "art", "state"] * 20)
JSON = "train.jsonl"
FILES: list[Case] = [
    (rewritten(TRAIN, lambda _: b""), "", "is empty. Put the rows there", as_before(TRAIN)),
    (
        rewritten(SAMPLE, lambda _: b"\n"),
        "",
        "a sample submission may be left out",
        without(SAMPLE),
    ),
    (
        rewritten(TRAIN, lambda text: text.decode().encode("utf-16")),
        "--encoding utf-8",
        "Say so with --encoding train.csv=utf-16",
        "--encoding train.csv=utf-16",
    ),
    (
        rewritten(TRAIN, lambda text: text.replace(b"market", b"m\xff\xfe\xfd\xfc\xfb")),
        "",
        "could not be guessed. Convert the file to UTF-8",
        rewritten(TRAIN, lambda text: text.replace(b"\xff\xfe\xfd\xfc\xfb", b"arket")),
    ),
    (lambda _: None, "--encoding utf8x", "usual ones are utf-8", "--encoding utf-8"),
    (
        rewritten(TRAIN, lambda text: text.replace(b"id,title,topic", b"id,topic,topic")),
        "",
        "Give each column a name of its own",
        rewritten(TRAIN, lambda text: text.replace(b"id,topic,topic", b"id,title,topic")),
    ),
    (
        rewritten(TRAIN, lambda text: text.replace(b"market price 3,", b'"market "price" 3,')),
        "",
        "To leave such lines out, and have them counted: pipeline.init --skip-broken train.csv",
        "--skip-broken train.csv",
    ),
    (
        both(into(TRAIN, JSON, json_lines), rewritten(JSON, lambda text: text + b'{"id" 7}\n')),
        "",
        "Mend the file in these places",
        rewritten(JSON, lambda text: text.replace(b'{"id" 7}\n', b"")),
    ),
    (
        both(into(TRAIN, JSON, json_lines), rewritten(JSON, lambda text: text + b'{"id" 7}\n')),
        "--skip-broken train.jsonl",
        "take the file out of data.files",
        rewritten(JSON, lambda text: text.replace(b'{"id" 7}\n', b"")),
    ),
    (
        both(into(TRAIN, "train.xlsx", lambda frame, path: path.write_bytes(b"PK")), without()),
        "",
        "Take it anew from where it came, or save it as csv",
        both(without("train.xlsx"), as_before(TRAIN)),
    ),
    (
        into(TRAIN, "train.parquet", lambda frame, path: path.write_bytes(b"PAR1")),
        "",
        "or give it the ending of what it is",
        both(without("train.parquet"), as_before(TRAIN)),
    ),
    (
        renamed(TRAIN, "train.arrow"),
        "",
        "or give it the ending of what it is",
        renamed("train.arrow", TRAIN),
    ),
    (
        rewritten(TRAIN, gzip.compress),
        "",
        "or give it the ending of what it is",
        renamed(TRAIN, f"{TRAIN}.gz"),
    ),
    (
        both(rewritten(TRAIN, gzip.compress), renamed(TRAIN, f"{TRAIN}.zst")),
        "",
        "train.csv.zst is packed: unpack it",
        both(rewritten(f"{TRAIN}.zst", gzip.decompress), renamed(f"{TRAIN}.zst", TRAIN)),
    ),
    (
        packed("all.zip", TRAIN, TEST, SAMPLE),
        "",
        "all.zip is packed and holds sample_submission.csv, test.csv, train.csv: unpack it",
        unpacked("all.zip"),
    ),
    (
        both(
            rewritten(TRAIN, lambda text: bz2.compress(text)[:-9]), renamed(TRAIN, "train.csv.bz2")
        ),
        "",
        "damaged or not what its ending says: Compressed file ended before the end-of-stream "
        "marker was reached. Download it again",
        both(without("train.csv.bz2"), as_before(TRAIN)),
    ),
    (
        both(
            into(TRAIN, "train.parquet", lambda frame, path: frame.to_parquet(path)),
            rewritten("train.parquet", gzip.compress),
            renamed("train.parquet", "train.parquet.gz"),
        ),
        "--train train.parquet.gz",
        "which is read unpacked only; unpack it first",
        both(
            rewritten("train.parquet.gz", gzip.decompress),
            renamed("train.parquet.gz", "train.parquet"),
        ),
    ),
    (
        lambda _: None,
        "--train trian.csv",
        "it has sample_submission.csv, test.csv, train.csv",
        "--train train.csv",
    ),
    (
        renamed(TRAIN, "train.dat"),
        "--train train.dat",
        "save it as csv",
        renamed("train.dat", TRAIN),
    ),
    (
        both(
            renamed(TRAIN, "train-00000-of-00002.csv"),
            rewritten("train-00000-of-00002.csv", lambda text: text),
        ),
        "--train train-*-of-00002.csv",
        "name the ones to be read one by one: one as data.train (init: --train)",
        "--train train-00000-of-00002.csv",
    ),
]


def in_parts(folder: Path) -> None:
    """Test in a public and a private file."""
    test = pd.read_csv(folder / TEST, dtype=str)
    save(folder, test_public=test.head(5), test_private=test.tail(7))
    (folder / TEST).unlink()


def into_folder(folder: Path) -> None:
    (folder / "test").mkdir()
    for name in ("test_public.csv", "test_private.csv"):
        (folder / name).rename(folder / "test" / name)


def line_by_line(folder: Path) -> None:
    """Fields in one file, labels in another, as WiC has them."""
    train = pd.read_csv(folder / TRAIN, dtype=str)
    lines = train["id"] + "\t" + train["title"]
    (folder / "train.data.txt").write_text("\n".join(lines), encoding="utf-8")
    (folder / "train.gold.txt").write_text("\n".join(train["topic"]), encoding="utf-8")
    (folder / TRAIN).unlink()


def beside_each_other(folder: Path) -> None:
    rows = [
        (folder / name).read_text(encoding="utf-8").splitlines()
        for name in ("train.data.txt", "train.gold.txt")
    ]
    cells = [[*line.split("\t"), topic] for line, topic in zip(*rows, strict=True)]
    save(folder, train=pd.DataFrame(cells, columns=["id", "title", "topic"]))


def without_header(folder: Path) -> None:
    sample = pd.read_csv(folder / SAMPLE, dtype=str)
    sample.to_csv(folder / SAMPLE, header=False, index=False)


def of_ai_hub(folder: Path) -> None:
    """A file per row, in folders that are called Training and Validation."""
    for role, name in (("Training", TRAIN), ("Validation", TEST)):
        (folder / role).mkdir()
        for place, row in enumerate(pd.read_csv(folder / name, dtype=str).to_dict("records")):
            (folder / role / f"v{place}.json").write_text(json.dumps(row), encoding="utf-8")
        (folder / name).unlink()


def prompts(folder: Path, count: int = 3) -> None:
    told = [f"so long a prompt {row}" for row in range(count)]
    save(
        folder,
        prompts_train=pd.DataFrame(
            {"prompt_id": [f"p{row}" for row in range(count)], "prompt": told}
        ),
    )


def prompts_that_lack_one(folder: Path) -> None:
    """Two tables of train, of which one stands beside the other."""
    assigned(TRAIN, prompt_id=[f"p{row % 3}" for row in range(60)])(folder)
    renamed(TRAIN, "train_rows.csv")(folder)
    prompts(folder, 2)


def dev_alone(folder: Path) -> None:
    """Labelled rows for validation in place of test."""
    rows = pd.read_csv(folder / TRAIN, dtype=str).tail(6)
    save(folder, dev=rows.assign(id=[f"d{row}" for row in range(6)]))
    without(TEST, SAMPLE)(folder)


FILES += [
    (
        prompts_that_lack_one,
        "",
        "prompts_train.csv stands beside train_rows.csv but lacks the prompt_id 'p2' of 20 of its",
        both(lambda folder: prompts(folder)),
    ),
    (prompts_that_lack_one, "", "or do without that table (--no-joins)", "--no-joins"),
    (
        assigned(TRAIN, topic=[f"${row % 9}.50" for row in range(60)]),
        "",
        "such as '$0.50'; a sum is read as a number: write it without its sign in each file",
        both(
            assigned(TRAIN, topic=[f"{row % 9}.50" for row in range(60)]),
            assigned(SAMPLE, topic="0.5"),
        ),
    ),
    (
        dev_alone,
        "",
        "Where there is none, predict the rows of dev.csv: --test dev.csv, and --target COLUMN",
        "--test dev.csv --target topic",
    ),
    (line_by_line, "", "write them side by side into train.csv", beside_each_other),
    (in_parts, "", "Where they are one table, put them all into a folder test", into_folder),
    (
        without_header,
        "",
        '--names "sample_submission.csv=id,topic"',
        "--names sample_submission.csv=id,topic",
    ),
    (
        of_ai_hub,
        "",
        "'Training/*.json', 'Validation/*.json'",
        "--test Validation/*.json",
    ),
]


@pytest.mark.parametrize(
    ("spoil", "asked", "said", "remedy"), every(2, FILES), ids=[each[2][-40:] for each in FILES]
)
def test_a_file_that_is_not_read_says_what_to_do(tmp_path, capsys, spoil, asked, said, remedy):
    assert_the_remedy_works(tmp_path, capsys, spoil, asked, said, remedy)


def assert_the_remedy_works(
    root: Path,
    capsys: pytest.CaptureFixture[str],
    spoil: Change,
    asked: str,
    said: str,
    remedy: str | Change,
) -> None:
    """init refuses and says so; after the *remedy* it writes a config, and folds are made."""
    folder = root / "data"
    train, test, sample = competition(folder)
    save(folder, train=train, test=test, sample_submission=sample)
    spoil(folder)
    command = [str(folder), "--root", str(root), "--name", "topics"]
    assert run(init.main, [*command, *shlex.split(asked)]) in (2, 3)
    message = " ".join(capsys.readouterr().err.split())
    assert said in message
    assert "Traceback" not in message
    assert not (root / "configs").exists()
    flags = remedy if isinstance(remedy, str) else remedy(folder) and ""
    assert run(init.main, [*command, *shlex.split(flags or "")]) == 0, capsys.readouterr().err
    config = ["--config", str(root / "configs" / "topics.yaml"), "--root", str(root)]
    assert run(folds.main, config) == 0, capsys.readouterr().err
