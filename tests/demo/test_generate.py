"""The built-in competition is what its script makes, and it is worth learning from."""

import csv
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from random import Random

import numpy as np
import pytest

from demo import generate, tags, texts
from demo.alter import another_number, numbers, slip
from demo.draw import Judges, Kind, draw, judged
from demo.pairs import Pair, overlap
from demo.scenes import read_scenes
from pipeline.base.config import Competition
from pipeline.base.errors import DataError
from pipeline.base.parser import read_section
from pipeline.folds.groups import connect, describe

ROOT = Path(__file__).resolve().parents[2]
DEMO = ROOT / "demo"
FILES = ("train.csv", "test.csv", "sample_submission.csv", "answers.csv")


def committed(name):
    with (DEMO / name).open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def sides(rows):
    return [(row["sentence_1"], row["sentence_2"]) for row in rows]


@pytest.fixture(scope="module")
def made():
    return generate.make()


@pytest.fixture(scope="module")
def again(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    # another hash seed, because the order of a set must not matter
    environment = {**os.environ, "PYTHONHASHSEED": "7", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(DEMO / "generate.py"), "--out", str(folder)]
    subprocess.run(command, check=True, env=environment, capture_output=True)
    return folder


@pytest.mark.parametrize("name", FILES)
def test_the_committed_files_are_what_the_script_makes(again, name):
    assert (again / name).read_bytes() == (DEMO / name).read_bytes(), (
        f"run python demo/generate.py and commit demo/{name}"
    )


def test_the_files_have_the_columns_of_the_course_project():
    columns = {name: list(committed(name)[0]) for name in FILES[:3]}
    head = ["id", "source", "sentence_1", "sentence_2"]
    assert columns == {
        "train.csv": [*head, "label", "binary-label"],
        "test.csv": head,
        "sample_submission.csv": ["id", "target"],
    }


def test_the_sample_submission_and_the_answers_are_about_the_test_rows():
    ids = [row["id"] for row in committed("test.csv")]
    assert [row["id"] for row in committed("sample_submission.csv")] == ids
    assert [row["id"] for row in committed("answers.csv")] == ids
    assert Counter(row["half"] for row in committed("answers.csv")) == {
        "public": 200,
        "private": 200,
    }


def test_there_are_a_thousand_rows_to_learn_from_and_four_hundred_to_predict():
    assert len(committed("train.csv")) == 1000
    assert len(committed("test.csv")) == 400


def test_the_binary_label_is_decided_before_rounding(made):
    just_below = [row for row in made[0] if 2.95 <= row.similarity < 3]
    assert just_below, "the file has no row that rounds up to 3.0"
    assert {(row.label, row.binary_label) for row in just_below} == {("3.0", "0.0")}
    assert {row.binary_label for row in made[0] if row.similarity >= 3} == {"1.0"}


def test_most_sentences_of_test_are_new_and_a_few_are_not():
    known = {text for pair in sides(committed("train.csv")) for text in pair}
    met = np.mean([bool(known & set(pair)) for pair in sides(committed("test.csv"))])
    assert 0.02 < met < 0.1


@pytest.mark.parametrize("what", ["source", "kind"])
def test_train_and_test_are_mixed_alike(made, what):
    train, test = (Counter(getattr(row.pair, what) for row in rows) for rows in made)
    for name in train | test:
        assert abs(train[name] / 1000 - test[name] / 400) < 0.015, name


def test_near_copies_with_another_meaning_share_more_words_than_paraphrases(made):
    def mean_overlap(*kinds):
        return np.mean([overlap(*row.pair.texts) for row in made[0] if row.pair.kind in kinds])

    assert mean_overlap("same") < 0.2
    assert mean_overlap("denied", "turned", "differs") > mean_overlap("same") + 0.05
    assert mean_overlap("lookalike") > mean_overlap("unrelated") + 0.05


def test_word_overlap_says_something_about_the_label_but_not_much():
    for rows in (committed("train.csv"), committed("test.csv")):
        shared = [overlap(*pair) for pair in sides(rows)]
        if "label" not in rows[0]:
            rows = committed("answers.csv")
        correlation = np.corrcoef(shared, [float(row["label"]) for row in rows])[0, 1]
        assert 0.2 < correlation < 0.5


def test_sentences_stand_in_several_pairs_and_groups_stay_small():
    pairs = sides(committed("train.csv"))
    uses = Counter(text for pair in pairs for text in pair)
    assert np.mean([count > 1 for count in uses.values()]) > 0.4
    facts = describe(connect(np.array(pairs, dtype=object), "near"))
    assert facts.largest <= 50
    assert facts.shared > 0.9


def test_some_rows_ask_nearly_the_same_again():
    loose = [
        tuple(text.lower().strip(" .!?") for text in pair) for pair in sides(committed("train.csv"))
    ]
    different = {(first, second) for first, second in loose if first != second}
    assert {(second, first) for first, second in different} & different


def test_the_default_config_describes_the_files():
    config = read_section(Competition, ROOT / "configs" / "default.yaml")
    train = committed(Path(config.data.train).name)
    columns = {config.columns.id, *config.columns.texts, *config.columns.targets}
    assert columns | set(config.columns.features) <= set(train[0])
    low, high = config.task.label_range
    assert all(low <= float(row["label"]) <= high for row in train)


def test_a_number_is_never_changed_into_one_that_is_nearly_the_same():
    for old in range(1, 200):
        for turn in range(20):
            new = int(another_number(str(old), Random(turn)))
            assert new > 0
            assert abs(new - old) >= 2


def test_a_slip_of_the_pen_always_changes_the_sentence_but_not_its_numbers():
    for scene in read_scenes():
        for turn, sentence in enumerate(scene.sentences):
            slipped = slip(sentence, Random(turn))
            assert slipped != sentence
            assert numbers(slipped) == numbers(sentence)


def test_judges_scatter_around_the_truth_and_stay_within_0_and_5():
    pairs = [Pair("here", "kind", ("a", "b"))] * 400
    judges = Judges(count=7, disagreement=0.5, lenience={"here": 0.5})
    rows = judged(pairs, {"kind": Kind(1, 2.0, 3.0)}, judges, Random(1))
    assert np.mean([row.similarity for row in rows]) == pytest.approx(3.0, abs=0.05)
    generous = Judges(count=7, disagreement=0.5, lenience={"here": 9})
    assert {row.label for row in judged(pairs, {"kind": Kind(1, 2, 3)}, generous, Random(1))} == {
        "5.0"
    }


def test_too_few_scenes_are_named():
    scene = read_scenes()[0]
    with pytest.raises(DataError) as caught:
        draw([(scene,)], {"same": 1000}, Random(1))
    offered = len(scene.same) * (len(scene.same) - 1) // 2
    assert str(caught.value) == (
        f"the scenes of {scene.source} offer {offered} pairs of kind 'same', 1000 are wanted. "
        "Write more scenes, or lower its share."
    )


def test_a_bad_scene_file_is_told_with_every_problem(tmp_path):
    text = "[one]\n= a\n= b\n= c\n< d\n~ a\n! f\n? g\n\n[two]\n= h\n= i\n* j\n"
    (tmp_path / "toy.txt").write_text(text, encoding="utf-8")
    with pytest.raises(DataError) as caught:
        read_scenes(tmp_path)
    assert str(caught.value).splitlines() == [
        f"{tmp_path} cannot be used:",
        "  - toy.txt, line 13: '* j' begins with none of = < ~ ! ? [ #",
        "  - toy [two] has fewer than 3 wordings (=)",
        "  - toy [two] has no sentence for 'less'",
        "  - toy [two] has no sentence for 'differs'",
        "  - toy [two] has no sentence for 'opposed'",
        "  - toy [two] has no sentence for 'topic'",
        "  - 'a' stands there 2 times",
    ]


def test_the_competition_of_texts_is_what_its_generator_writes():
    for name, content in texts.files().items():
        assert (DEMO / "texts" / name).read_text(encoding="utf-8") == content, (
            f"run python demo/texts.py and commit demo/texts/{name}"
        )


def test_announcements_say_all_facts_of_their_course():
    with (DEMO / "texts" / "train.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    for row in rows:
        for fact in row["meaning"].split(", "):
            name, _, value = fact.removesuffix("]").partition("[")
            special = (name, value) in texts.SPECIAL
            assert special or value.lower() in row["text"].lower(), row
    inputs = {row["meaning"] for row in rows}
    assert len(inputs) == texts.TRAIN_COURSES < len(rows), "several announcements of a course"
    with (DEMO / "texts" / "test.csv").open(encoding="utf-8", newline="") as stream:
        assert not inputs & {row["meaning"] for row in csv.DictReader(stream)}


def test_the_competition_of_tags_is_what_its_generator_writes():
    for name, content in tags.files().items():
        assert (DEMO / "tags" / name).read_text(encoding="utf-8") == content, (
            f"run python demo/tags.py and commit demo/tags/{name}"
        )
