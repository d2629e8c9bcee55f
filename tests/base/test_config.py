from pathlib import Path

import pytest

from pipeline.base.config import Competition, DataConfig, FoldsConfig, TaskConfig, as_dict
from pipeline.base.errors import UsageError
from pipeline.base.parser import Parser, explained, read_section

CONFIG = """
name: "007"
data: {train: a.csv, test: b.csv, sample_submission: c.csv}
columns: {id: id, texts: [a, b], targets: [label]}
task: {problem: regression, metric: pearson, label_range: [0, 5]}
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "default.yaml").write_text(CONFIG)
    return tmp_path


def read(root: Path, *argv: str) -> Competition:
    parser = Parser("cv", "test")
    parser.add_argument("--model", action="append")
    parser.add_competition()
    return parser.competition(parser.read(["--root", str(root), *argv]))


def test_the_default_config_below_root_is_read_and_the_command_line_wins(root):
    competition = read(root, "--folds.count", "3")
    assert competition.name == "007"
    assert competition.folds.count == 3
    assert competition.task.label_range == (0.0, 5.0)
    assert competition.outputs == ["label"]


@pytest.mark.parametrize("spelling", ["configs/other.yaml", "other", "{root}/configs/other.yaml"])
def test_a_config_is_found_by_name_or_path_below_root(root, spelling):
    (root / "configs" / "other.yaml").write_text(CONFIG.replace("007", "other"))
    assert read(root, "--config", spelling.format(root=root)).name == "other"
    assert read(root, f"--config={spelling.format(root=root)}").name == "other"


@pytest.mark.parametrize(
    ("added", "message"),
    [
        ("fold: {count: 3}", "did you mean 'folds.count'?"),
        ("folds: {cuont: 3}", "did you mean 'folds.count'?"),
        ("folds: {count: 1}", "folds.count is 1; it must be at least 2"),
        ("folds: {count: x}", "folds.count"),
        ("folds: {seed: 1, count: 0, bins: 0}", "folds.bins is 0; it must be at least 1"),
    ],
)
def test_a_bad_config_says_how_to_mend_it(root, added, message):
    (root / "configs" / "default.yaml").write_text(CONFIG + added)
    with pytest.raises(UsageError) as caught:
        read(root)
    assert message in str(caught.value)


def test_an_unknown_option_is_refused_with_the_nearest_one(root):
    with pytest.raises(UsageError, match=r"did you mean 'folds\.count'\?"):
        read(root, "--folds.cont", "3")


def test_an_unknown_option_that_resembles_none_gets_no_guess():
    told = explained("unrecognized arguments: --config toy", ["--encoding", "--out"], "predict")
    assert told.endswith("; see predict --help")


def test_a_missing_config_names_those_that_are_there(root):
    with pytest.raises(UsageError, match=r"no config nope .* There are: default\."):
        read(root, "--config", "nope")


def test_without_any_config_init_is_named(tmp_path):
    with pytest.raises(UsageError, match=r"Write one: python -m pipeline\.init"):
        read(tmp_path)


def test_yaml_numbers_are_what_they_look_like(tmp_path):
    (tmp_path / "a.yaml").write_text("count: 3\nnear_threshold: 9e-1\n")
    section = read_section(FoldsConfig, tmp_path / "a.yaml", ["seed=7"])
    assert section.near_threshold == 0.9
    assert section.seed == 7


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"problem": "multiclass", "classes": ["a", "b"]}, "multiclass needs 3 or more"),
        ({"problem": "binary", "classes": []}, "binary needs 2"),
        ({"problem": "multiclass", "classes": ["a", "b", "a"]}, "names a class twice"),
        ({"problem": "regression", "label_range": (5, 0)}, "the first must be the smaller"),
        (
            {"problem": "tags", "classes": ["O", "B-A"], "separator": ","},
            "for tags it can be spans",
        ),
        ({"problem": "regression", "separator": ","}, "must be multilabel, heads or tags, and"),
    ],
)
def test_a_task_that_contradicts_itself_is_refused(settings, message):
    with pytest.raises(UsageError, match=message):
        TaskConfig(metric="f1", **settings)


def test_text_that_looks_like_a_number_asks_for_quotes(tmp_path):
    (tmp_path / "a.yaml").write_text("train: 007\ntest: b\nsample_submission: c\n")
    with pytest.raises(UsageError, match="needs quotes in YAML"):
        read_section(DataConfig, tmp_path / "a.yaml")


def test_as_dict_is_ready_for_json(root):
    assert as_dict(read(root))["task"]["label_range"] == [0.0, 5.0]


@pytest.mark.parametrize(
    ("message", "told"),
    [
        (
            "Parser key \"public_share\": Expected a <class 'float'>. Got value: 30%",
            "public-share: expected a number, found '30%'",
        ),
        (
            'Parser key "submissions.per_day": Does not validate against any of the Union subtypes '
            "Subtypes: [<class 'int'>, <class 'NoneType'>] Errors: - Expected a <class 'int'> - "
            "Expected a <class 'NoneType'> Given value type: <class 'str'> Given value: x",
            "submissions.per_day: expected a whole number or null, found 'x'",
        ),
        (
            "Parser key \"folds.groups\": Expected a typing.Literal['near', 'none']. Got value: x",
            "folds.groups: expected one of 'near', 'none', found 'x'",
        ),
        ("something else: <class 'int'>", "something else: <class 'int'>"),
    ],
)
def test_the_parsers_words_become_those_of_people(message, told):
    parser = Parser("config", "")
    parser.add_class_arguments(Competition, None)
    assert explained(message, parser.flags, parser.prog) == told
