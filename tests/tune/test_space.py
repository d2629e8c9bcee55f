"""The space file is checked whole against the recipe, before anything runs."""

from pathlib import Path

import pytest

from pipeline.base import UsageError
from pipeline.models.recipes import available, find
from pipeline.tune.space import read_space, shipped

BAD = """
char_ngram: {type: categorical, choices: [[1, 2], [1, 3]]}
word_ngrams: {type: categorical, choices: [[2, 1], [1, 2]]}
buckets: {type: int, low: -5, high: 100}
strengths: [1, 2]
clean: {type: categorical, choices: [[nfkc]]}
class_fit: {type: float, low: a, high: 2, logg: true}
pair_order: {type: categorical, choices: [symmetrical, ordered]}
"""
SAID = [
    "char_ngram: the recipe has no such setting; did you mean 'char_ngrams'?",
    "word_ngrams [2, 1]: ",
    "buckets -5: the settings of 'linear' do not hold: buckets is -5",
    "strengths: is in the space and in --set",
    "clean: choices is [['nfkc']]; expected a list of two values or more",
    "class_fit: float has no logg; it has: low, high, log, step",
    "pair_order symmetrical: ",
]


def test_everything_that_is_wrong_is_said_at_once(tmp_path):
    (tmp_path / "space.yaml").write_text(BAD)
    with pytest.raises(UsageError) as found:
        read_space("space.yaml", "linear", tmp_path, ("strengths=[1.0]",))
    for line in SAID:
        assert line in str(found.value)
    assert str(found.value).count("\n") == len(SAID)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{type: float, low: 2, high: 1}", "low must be below high"),
        ("{type: float, low: 0, high: 1, log: true}", "with log it must be above 0"),
        ("{type: float, low: 1, high: 2, log: true, step: 1}", "has log and step"),
        ("{type: int, low: 1.5, high: 2}", "expected a whole number"),
        ("{type: float, low: 1}", "high is None; expected a number"),
        ("{type: float, low: 1, high: 2, step: 3}", "at most high - low"),
        ("{type: float, low: 1, high: 2, log: 3}", "log is 3; expected true or false"),
        ("{type: categorical, choices: [1, 1]}", "holds a value twice"),
        ("{type: normal}", "expected a type (float, int, categorical)"),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused(tmp_path, line, said):
    (tmp_path / "space.yaml").write_text(f"buckets: {line}\n")
    with pytest.raises(UsageError, match="buckets") as found:
        read_space("space.yaml", "linear", tmp_path, ())
    assert said in str(found.value)


def test_yaml_takes_1e_5_for_a_text_and_the_space_for_a_number(tmp_path):
    (tmp_path / "space.yaml").write_text("learning_rate: {type: float, low: 1e-5, high: 1e-4}\n")
    found = read_space("space.yaml", "minilm", tmp_path, ()).settings["learning_rate"]
    assert (found.low, found.high) == (1e-5, 1e-4)


def test_values_that_the_default_has_change_nothing_so_its_run_is_the_defaults(tmp_path):
    space = read_space(None, "linear", tmp_path, ())
    default = space.default_params()
    assert default is not None
    assert space.overrides(default) == ()
    assert space.recipe(default).name == "linear"
    other = default | {"char_ngrams": "[2, 5]"}
    assert space.overrides(other) == ("char_ngrams=[2, 5]",)
    assert space.recipe(other).name == find("linear", tmp_path, ["char_ngrams=[2, 5]"]).name


def test_every_shipped_space_fits_the_shipped_recipes_of_its_kind():
    root = Path("nowhere")
    tried = set()
    for name in available(root):
        learner = find(name, root).learner
        if shipped(learner) is not None and learner not in tried:
            tried.add(learner)
            assert read_space(None, name, root, ()).settings
    assert tried == {"linear", "boosting", "transformer"}


def test_a_learner_without_a_space_and_a_name_that_is_none_say_what_there_is(tmp_path):
    with pytest.raises(UsageError, match="no space is shipped for learner embeddings") as found:
        read_space(None, "minilm-frozen", tmp_path, ())
    line = str(found.value).partition("searched, such as ")[2].splitlines()[0]
    (tmp_path / "space.yaml").write_text(line)
    setting = read_space("space.yaml", "minilm-frozen", tmp_path, ()).settings["max_length"]
    assert (setting.low, setting.high) == (64, 256)
    with pytest.raises(
        UsageError, match="there is no such file, and no space of that name"
    ) as found:
        read_space("lineal", "linear", tmp_path, ())
    assert str(found.value).endswith("there are: boosting, linear, transformer")
    assert read_space("linear", "linear", tmp_path, ()).settings
