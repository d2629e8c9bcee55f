"""A competition of tags, from documents in files to a checked submission."""

import csv
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from seqeval.metrics import f1_score
from seqeval.metrics.sequence_labeling import get_entities
from seqeval.scheme import IOB2

from pipeline import bundle, cv, init, predict, rebuild, wrapup
from pipeline.base.command import run
from pipeline.data.units import documents, list_in, tags_in, units_in
from pipeline.doctor import __main__ as doctor
from pipeline.ensemble import __main__ as ensemble
from pipeline.folds import __main__ as folds
from pipeline.monitor import __main__ as monitor
from pipeline.oof.predictions import read_fold
from pipeline.report import __main__ as report
from pipeline.serve.app import rows_of
from pipeline.serve.bundle import open_bundle
from pipeline.serve.engine import Engine
from pipeline.serve.guard import Limits
from pipeline.serve.predicting import predict_file
from pipeline.team import __main__ as team
from tests.nightly import nightly

PEOPLE, PLACES = ["Ann Lee", "Bo", "Cy Young", "Dee"], ["Rome", "New York", "Oslo"]
FRAMES = [
    "{p} went to {l} .",
    "In {l} , {p} slept",
    "{p} met {q} in {l}",
    "Nobody came today",
]
CONFIG = """
name: names
data: {{train: {train}, test: {test}, sample_submission: sample.csv}}
columns: {{id: id, texts: [{text}], targets: [tags]{more}}}
task: {{problem: tags, metric: {metric}, classes: [O, B-PER, I-PER, B-LOC, I-LOC]}}
folds: {{count: 3, groups: exact}}
"""


def sentence(number: int) -> tuple[list[str], list[str]]:
    """Words and tags."""
    random = np.random.default_rng(number)
    words, tags = [], []
    for word in str(random.choice(FRAMES)).split():
        kind = {"{p}": PEOPLE, "{q}": PEOPLE, "{l}": PLACES}.get(word)
        name = str(random.choice(kind)).split() if kind else [word]
        label = ("LOC" if kind is PLACES else "PER") if kind else ""
        words += name
        tags += [f"{'I' if at else 'B'}-{label}" if label else "O" for at in range(len(name))]
    return [*words, str(number)], [*tags, "O"]


def competition(root: Path, metric: str = "entity-f1") -> dict[str, list[str]]:
    """Files with a list of words in each cell; the tags of the test documents."""
    lines = {"train": [], "test": []}
    answers = {}
    for number in range(70):
        words, tags = sentence(number)
        name = f"d-{number}"
        if number < 54:
            lines["train"].append({"id": name, "words": words, "tags": tags})
        else:
            lines["test"].append({"id": name, "words": words})
            answers[name] = tags
    for name, rows in lines.items():
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (root / f"{name}.jsonl").write_text(text, encoding="utf-8")
    order = [*answers][::-1]  # the sample's own
    sample = "".join(f"{name},{' '.join('O' for _ in answers[name])}\n" for name in order)
    (root / "sample.csv").write_text("id,target\n" + sample, encoding="utf-8")
    config = CONFIG.format(
        train="train.jsonl", test="test.jsonl", text="words", more="", metric=metric
    )
    (root / "names.yaml").write_text(config, encoding="utf-8")
    return answers


def asking(root: Path) -> list[str]:
    return ["--root", str(root), "--config", str(root / "names.yaml")]


def whole_way(root: Path) -> Path:
    """Two members and the file of their blend."""
    where = asking(root)
    for window in (1, 2):
        settings = ["--set", f"window={window}", "--set", "iterations=15"]
        assert run(cv.main, [*where, "--model", "crf", *settings]) == 0
    assert run(ensemble.main, where) == 0
    (file,) = (root / "submissions").glob("*.csv")
    return file


@pytest.mark.nightly
def test_the_whole_way_of_tags(tmp_path, capsys):
    answers = competition(tmp_path)
    file = whole_way(tmp_path)
    with file.open(encoding="utf-8", newline="") as stream:
        written = {row["id"]: row["target"].split() for row in csv.DictReader(stream)}
    assert list(written) == [*answers][::-1], "documents in the sample's order"
    right = sum(written[name] == tags for name, tags in answers.items())
    assert right >= 0.8 * len(answers), "sentences of so few patterns are learnt"
    frozen = pd.read_csv(tmp_path / "folds" / "names.csv")
    assert frozen["id"].tolist() == [f"d-{number}" for number in range(54)], "a row per document"
    printed = capsys.readouterr().out
    assert "entity-f1" in printed
    record = json.loads(file.with_suffix(".json").read_text(encoding="utf-8"))
    assert 0.8 < record["scores"]["honest"] <= 1
    parts = [read_fold(path)[0] for path in sorted(tmp_path.glob("oof/names/*/seed-42/*.npz"))]
    assert {part.valid.dtype for part in parts} == {np.dtype(np.float16)}
    for part in parts:
        held = {row.rpartition("#")[0] for row in part.valid_ids.tolist()}
        assert sum(len(sentence(int(name[2:]))[0]) for name in held) == len(part.valid_ids), (
            "documents are held out whole"
        )

    same = tmp_path / "again.csv"
    root = ["--root", str(tmp_path)]
    assert run(rebuild.main, [str(file), *root]) == 0
    rows = str(tmp_path / "test.jsonl")
    assert run(predict.main, [rows, "--with", str(file), "-o", str(same), *root]) == 0
    assert same.read_bytes() == file.read_bytes(), "all learners, the blend, decisions, decoding"
    named = asking(tmp_path)
    watched(tmp_path, file, capsys)
    assert run(doctor.main, named) == 0
    assert run(folds.main, named) == 0
    audited(tmp_path, named)
    for command in (report, wrapup):
        assert run(command.main, named) == 0
    listed = tmp_path / "doubtful.csv"
    assert run(report.main, [*named, "--doubtful", str(listed)]) == 0
    doubted = pd.read_csv(listed, dtype=str, keep_default_na=False)
    assert sorted(doubted["id"]) == sorted(frozen["id"])
    assert doubted["doubt"].astype(float).is_monotonic_decreasing
    page = (tmp_path / "submissions" / "names-report.html").read_text(encoding="utf-8")
    assert "What happened to honest predictions" in page
    assert "entities that are missing, and such as are none" in page


def watched(root: Path, file: Path, capsys) -> None:
    """The score that a bundle has on rows that are labelled by now, in documents."""
    out, labelled = root / "bundle", root / "labelled.jsonl"
    assert run(bundle.main, [str(file), "-o", str(out), "--root", str(root)]) == 0
    rows = {f"n-{number}": sentence(number) for number in range(200, 216)}
    lines = [
        json.dumps({"id": name, "words": units, "tags": tags})
        for name, (units, tags) in rows.items()
    ]
    labelled.write_text("\n".join(lines), encoding="utf-8")
    capsys.readouterr()
    asked = ["--root", str(root), str(out), str(labelled), "--labels", "--json"]
    assert run(monitor.main, asked) == 0
    found = json.loads(capsys.readouterr().out)["real"]
    predict_file(out, str(labelled), str(root / "said.csv"))
    with (root / "said.csv").open(encoding="utf-8", newline="") as stream:
        said = [row["target"].split() for row in csv.DictReader(stream)]
    served(out, [units for units, _ in rows.values()], said)
    true = [tags for _, tags in rows.values()]
    assert found["score"] == pytest.approx(f1_score(true, said, mode="strict", scheme=IOB2))
    assert found["rows"] == len(rows)


def served(out: Path, documents: list[list[str]], said: list[list[str]]) -> None:
    """What a server tells of documents: the entities that the file has, by their places."""
    engine = Engine(open_bundle(out))
    limits, columns = Limits(), engine.columns
    body = json.dumps({"rows": [{"words": units} for units in documents]}).encode()
    rows, _ = rows_of(body, columns, limits, engine.lists)
    told = engine.answer(engine.table(rows))
    for units, tags, each in zip(documents, said, told, strict=True):
        pieces = each["answer"]["tags"]
        known = [(kind, " ".join(units[a : b + 1])) for kind, a, b in get_entities(tags)]
        assert [(piece["label"], piece["text"]) for piece in pieces] == known
        assert all(each["text"][one["start"] : one["end"]] == one["text"] for one in pieces)
        assert 0 <= each["agreement"] <= 1
        assert each["disagree"] == [name for name, own in each["members"].items() if own != pieces]


def audited(root: Path, named: list[str]) -> None:
    """A team-mate's file of units: taken where it is honest, refused where it is a copy."""
    runs = sorted(path.name for path in (root / "oof" / "names").iterdir())
    file = root / "mate.csv"
    assert run(team.main, ["export", runs[0], *named, "--out", str(file)]) == 0
    assert run(team.main, ["add", str(file), *named, "--name", "copy"]) == 3
    frame = pd.read_csv(file, dtype={"id": str})
    columns = frame.columns[3:]
    noise = np.random.default_rng(0).dirichlet(np.ones(len(columns)), len(frame))
    frame[columns] = 0.7 * frame[columns] + 0.3 * noise
    frame.to_csv(file, index=False)
    file.with_suffix(".json").unlink()
    code = run(team.main, ["add", str(file), *named, "--name", "mate", "--force"])
    assert code in (0, 3), "judged, not broken"
    assert challenged(root, named, frame, 0.5) == 0
    assert challenged(root, named, frame, 0.0) == 3, "one learner answered for all folds"


def challenged(root: Path, named: list[str], frame: pd.DataFrame, memory: float) -> int:
    """Ask the learners behind *frame*, which go so far to the tags of documents they have seen."""
    call, out = ["challenge", "mate", *named], root / "questions.csv"
    assert run(team.main, [*call, "--out", str(out)]) == 0
    asked = pd.read_csv(out, dtype=str)
    assert list(asked.columns) == ["id", "fold", "words"]
    number = {json.dumps(sentence(each)[0]): each for each in range(54)}
    tags, kept = list(frame.columns[3:]), frame.set_index("id")
    rows = []
    for name, fold, words in asked.to_numpy().tolist():
        for place, tag in enumerate(sentence(number[words])[1]):
            row = kept.loc[f"d-{number[words]}#{place}"]
            seen = memory * (row["fold"] != float(fold))
            known = [float(each == tag) for each in tags]
            said = (1 - seen) * row[tags].to_numpy(float) + seen * np.array(known)
            rows.append([f"{name}#{place}", *said])
    pd.DataFrame(rows, columns=["id", *tags]).to_csv(root / "answers.csv", index=False)
    return run(team.main, [*call, "--answer", str(root / "answers.csv")])


def test_a_row_per_tagged_token_is_written_as_the_sample_shows_it(tmp_path):
    answers = competition(tmp_path, metric="f-beta(5)")
    config = (tmp_path / "names.yaml").read_text(encoding="utf-8")
    config = config.replace("id: id", "id: document").replace("jsonl", "json")
    (tmp_path / "names.yaml").write_text(config, encoding="utf-8")
    for name in ("train", "test"):
        path = tmp_path / f"{name}.jsonl"
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        for row in rows:
            row["document"] = row.pop("id")
        path.unlink()
        path.with_suffix(".json").write_text(json.dumps(rows), encoding="utf-8")
    sample = "row_id,document,token,label\n0,d-54,0,B-PER\n1,d-54,1,I-PER\n"
    (tmp_path / "sample.csv").write_text(sample, encoding="utf-8")
    lines = pd.read_csv(whole_way(tmp_path), dtype=str)
    assert lines.columns.tolist() == ["row_id", "document", "token", "label"]
    assert lines["row_id"].tolist() == [str(row) for row in range(len(lines))]
    found = set(zip(lines["document"], lines["token"], lines["label"], strict=True))
    wanted = {
        (name, str(place), tag)
        for name, tags in answers.items()
        for place, tag in enumerate(tags)
        if tag != "O"
    }
    assert len(found & wanted) >= 0.8 * len(wanted)
    assert not [tag for _, _, tag in found if tag == "O"]


@pytest.mark.nightly
def test_a_unit_per_line_goes_the_same_way(tmp_path, capsys):
    folder = tmp_path / "names"
    folder.mkdir()
    for name, numbers, tagged in (("train", range(54), True), ("test", range(54, 70), False)):
        found = [zip(*sentence(number), strict=True) for number in numbers]
        lines = [
            "".join(f"{word}\t{tag}\n" if tagged else f"{word}\n" for word, tag in document)
            for document in found
        ]
        text = "".join(
            f"# id d-{number}\n{each}\n" for number, each in zip(numbers, lines, strict=True)
        )
        (folder / f"{name}.tsv").write_text(text, encoding="utf-8")
    root = ["--root", str(tmp_path)]
    assert run(init.main, [str(folder), *root]) == 0
    where = [*root, "--config", str(tmp_path / "configs" / "names.yaml")]
    assert run(cv.main, [*where, "--model", "crf", "--set", "iterations=15"]) == 0
    assert run(ensemble.main, where) == 0
    (file,) = (tmp_path / "submissions").glob("*.csv")
    written = pd.read_csv(file, dtype=str)
    assert written["id"].tolist() == [f"d-{number}" for number in range(54, 70)]
    wanted = [" ".join(sentence(number)[1]) for number in range(54, 70)]
    assert (written["tags"] == wanted).sum() >= 12, "sentences of so few patterns are learnt"


def spans_of(number: int, unit: str) -> list[tuple[int, int, str]]:
    """Start, the unit after the end, and type of each entity of a sentence."""
    words, tags = sentence(number)
    starts = np.cumsum([0, *(len(word) + 1 for word in words)]).tolist()
    found = []
    for place, tag in enumerate(tags):
        if tag.startswith("B-"):
            last = place
            while tags[last + 1].startswith("I-"):
                last += 1
            end = starts[last] + len(words[last])
            whole = (place, last + 1) if unit == "word" else (starts[place], end)
            found.append((*whole, tag[2:]))
    return found


@pytest.mark.parametrize(
    ("unit", "last", "shown"),
    [
        nightly("character", 0, True),
        nightly("character", 1, True),
        ("word", 1, False),
    ],
)
def test_spans_become_tags_and_are_written_as_the_sample_shows_them(tmp_path, unit, last, shown):
    folder = tmp_path / "names"
    folder.mkdir()
    texts = {number: " ".join(sentence(number)[0]) for number in range(100)}
    rows = {
        "train": [("id", "text"), *((f"d-{number}", texts[number]) for number in range(80))],
        "test": [("id", "text"), *((f"d-{number}", texts[number]) for number in range(80, 100))],
    }
    for name, numbers in (("train_spans", range(80)), ("wanted", range(80, 100))):
        rows[name] = [("id", "start", "end", "label")]
        for number in numbers:
            each = spans_of(number, unit)
            rows[name] += [(f"d-{number}", start, end - last, kind) for start, end, kind in each]
    rows["sample_submission"] = rows["wanted"][:2]
    for name in ("train", "test", "train_spans", "sample_submission")[: 3 + shown]:
        with (folder / f"{name}.csv").open("w", encoding="utf-8", newline="") as stream:
            csv.writer(stream).writerows(rows[name])
    root = ["--root", str(tmp_path)]
    assert run(init.main, [str(folder), *root]) == 0
    where = [*root, "--config", str(tmp_path / "configs" / "names.yaml")]
    assert run(cv.main, [*where, "--model", "crf", "--set", "iterations=15"]) == 0
    assert run(ensemble.main, where) == 0
    (file,) = (tmp_path / "submissions").glob("*.csv")
    with file.open(encoding="utf-8", newline="") as stream:
        header, *written = [tuple(row) for row in csv.reader(stream)]
    wanted = {tuple(map(str, row)) for row in rows["wanted"][1:]}
    assert header == ("id", "start", "end", "label")
    assert len(wanted & set(written)) >= 0.8 * len(wanted)
    assert len(written) <= 1.2 * len(wanted)


SHAPES = {
    "doccano": lambda text, spans: {"text": text, "label": spans},
    "objects": lambda text, spans: {
        "text": text,
        "entities": [{"label": kind, "start_offset": a, "end_offset": b} for a, b, kind in spans],
    },
    "spacy 2": lambda text, spans: [text, {"entities": spans}],
}


@pytest.mark.parametrize(
    ("shape", "shown"),
    [("doccano", True), nightly("objects", True), nightly("spacy 2", True), ("objects", False)],
)
def test_spans_in_cells_become_tags_and_are_written_as_spans(tmp_path, shape, shown):
    folder = tmp_path / "data"
    folder.mkdir()
    told = [("Ann went to Rome.", [[0, 3, "PS"], [12, 16, "LC"]]), ("It rained.", [])]
    rows = [SHAPES[shape](text, spans) for text, spans in told * 20]
    (folder / "train.json").write_text(json.dumps(rows))
    asked = [{"id": f"t{n}", "text": told[n % 2][0]} for n in range(4)]
    (folder / "test.json").write_text(json.dumps(asked))
    name = "label" if shape == "doccano" else "entities"
    sample = pd.DataFrame({"id": [row["id"] for row in asked], name: "[]"})
    if shown:
        sample.to_csv(folder / "sample_submission.csv", index=False)
    where = ["--root", str(tmp_path)]
    assert run(init.main, [str(folder), *where, "--name", "spans"]) == 0
    config = ["--config", str(tmp_path / "configs" / "spans.yaml")]
    assert run(cv.main, [*where, *config, "--model", "crf"]) == 0
    assert run(ensemble.main, [*where, *config]) == 0
    (file,) = (tmp_path / "submissions").glob("*.csv")
    written = [json.loads(cell) for cell in pd.read_csv(file)[name]]
    assert written == [told[n % 2][1] for n in range(4)]


def test_spans_that_overlap_are_refused_by_their_document(tmp_path, capsys):
    rows = [{"id": str(n), "text": "Ann went to Rome.", "label": [[0, 3, "PS"]]} for n in range(9)]
    rows[4]["label"] += [[0, 8, "LC"]]
    for name, own in (("train", rows), ("test", [{"id": "x", "text": "It rained."}])):
        (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, own)))
    assert run(init.main, [str(tmp_path), "--root", str(tmp_path), "--name", "spans"]) == 3
    told = "spans that overlap another; a unit has one tag, so take one out: id 4 (0, 8, LC)"
    assert told in capsys.readouterr().err


def changed(root: Path, name: str, change) -> None:
    path = root / f"{name}.jsonl"
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    change(rows)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "change", "says"),
    [
        ("train", lambda rows: rows[3]["tags"].append("O"), "not as many tags as units: id d-3"),
        ("train", lambda rows: rows[3]["tags"].__setitem__(0, "B-X"), "id d-3 ('B-X')"),
        ("train", lambda rows: rows[3].update(words="no list"), "no list of units"),
        ("test", lambda rows: rows[0].update(words=[]), "documents without a unit: id d-54"),
        ("test", lambda rows: rows.pop(), "not in the test file: d-69"),
    ],
)
def test_documents_that_do_not_fit_are_refused_by_name(tmp_path, name, change, says, capsys):
    competition(tmp_path)
    changed(tmp_path, name, change)
    where = asking(tmp_path)
    assert run(cv.main, [*where, "--model", "crf"]) == 3
    assert says in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "oof").exists()


@pytest.mark.parametrize("more", ["", "\t_"])
def test_a_sample_with_a_unit_per_line_is_refused(tmp_path, capsys, more):
    answers = competition(tmp_path)
    lines = [
        f"# {name}\n" + "".join(f"{word}{more}\n" for word in sentence(int(name[2:]))[0])
        for name in answers
    ]
    (tmp_path / "sample.conll").write_text("\n".join(lines), encoding="utf-8")
    where = asking(tmp_path)
    asked = ["--model", "crf", "--data.sample_submission", "sample.conll"]
    assert run(cv.main, [*where, *asked]) == 3
    assert "a form that is read and not written" in " ".join(capsys.readouterr().err.split())


def test_a_learner_of_whole_rows_is_refused_before_anything_is_trained(tmp_path, capsys):
    competition(tmp_path)
    where = asking(tmp_path)
    assert run(cv.main, [*where, "--model", "linear"]) == 2
    assert "Learners that do: crf" in " ".join(capsys.readouterr().err.split())


def test_a_tag_that_changed_is_named_by_its_document(tmp_path, capsys):
    competition(tmp_path)
    where = asking(tmp_path)
    recipe = ["--model", "crf", "--set", "iterations=2"]
    assert run(cv.main, [*where, *recipe]) == 0
    changed(tmp_path, "train", lambda rows: rows[7]["tags"].__setitem__(-1, "B-LOC"))
    assert run(cv.main, [*where, *recipe]) == 5
    assert "d-7" in capsys.readouterr().err


def test_units_of_cells():
    assert units_in("a b", "character") == (["a", " ", "b"], ["", "", ""])
    assert units_in("['Ann', ',', 'no']", "given") == (["Ann", ",", "no"], ["", " ", ""])
    assert units_in("plain", "given") is None
    assert tags_in("O B-PS") == tags_in('["O", "B-PS"]') == ["O", "B-PS"]
    assert list_in("[1, 2") is None


def test_a_document_is_its_units_again(tmp_path):
    from pipeline.base.parser import Parser
    from pipeline.data import load

    competition(tmp_path)
    options = Parser("cv", "")
    options.add_competition()
    args = options.read(asking(tmp_path))
    asked = options.competition(args)
    tables = load(asked, tmp_path)
    whole = documents(tables.train, asked.task)
    assert whole.ids.tolist() == [f"d-{number}" for number in range(54)]
    spaced = " ".join(sentence(5)[0]).replace(" .", ".").replace(" ,", ",")
    assert whole.texts[5, 0] == spaced
    assert documents(whole, asked.task) is whole
