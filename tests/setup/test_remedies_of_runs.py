"""As in `test_remedies`, of what comes after the config: recipes, folds, tokens, candidates."""

import json
import re
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers.processors import TemplateProcessing
from transformers import AutoTokenizer

from pipeline import cv, init
from pipeline.base.command import run
from pipeline.base.errors import ArtifactError, UsageError
from pipeline.base.paths import Paths
from pipeline.data.tokens.files import MANIFEST
from pipeline.data.tokens.store import TokenStore
from pipeline.distil.export import check_export
from pipeline.doctor import __main__ as doctor
from pipeline.ensemble import __main__ as ensemble
from pipeline.ensemble.texts.outcome import check_method
from pipeline.folds import __main__ as folds
from pipeline.models.hub.weights import locate
from pipeline.models.transformer.factory import problems_of_places
from pipeline.models.transformer_settings import TransformerRecipe
from pipeline.serve.packing.pack import check_place
from pipeline.training.pretraining import Pretrained, Pretraining, write_recipe
from tests.quick import quick
from tests.setup.test_remedies import (
    TEST,
    TRAIN,
    as_before,
    assert_the_remedy_works,
    both,
    packed,
    unpacked,
    without,
)
from tests.test_shapes import competition, save
from tests.tiny import LONGEST, tiny_backbone, tiny_tokenizer

WORDS = ["a cat sleeps on the mat", "a dog barks"]
LINEAR = ("--model", "linear")


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root with a competition and one run."""
    root = tmp_path_factory.mktemp("topics")
    train, test, rows = competition(root / "data")
    save(root / "data", train=train, test=test, sample_submission=rows)
    asked = ["--root", str(root), "--name", "topics", "--folds", "3"]
    assert run(init.main, [str(root / "data"), *asked]) == 0
    quick(root)
    assert run(cv.main, [*asking(root), *LINEAR]) == 0
    return root


@pytest.fixture
def root(learned: Path, tmp_path: Path) -> Path:
    """A copy of its own, at another place."""
    shutil.copytree(learned, tmp_path, dirs_exist_ok=True)
    return tmp_path


def asking(root: Path) -> list[str]:
    return ["--root", str(root), "--config", str(root / "configs" / "topics.yaml")]


def told(capsys: pytest.CaptureFixture[str]) -> str:
    """What a command said on standard error, in one line."""
    message = " ".join(capsys.readouterr().err.split())
    assert "Traceback" not in message
    return message


def test_folds_that_are_missing_are_frozen_again(root, capsys):
    for path in (root / "folds").glob("topics.*"):
        path.unlink()
    assert run(ensemble.main, asking(root)) == 5
    assert "Freeze them with python -m pipeline.folds" in told(capsys)
    assert run(folds.main, asking(root)) == 0
    assert run(ensemble.main, asking(root)) == 0, told(capsys)


def test_another_seed_of_folds_is_put_back_or_gets_folds_and_models_of_its_own(root, capsys):
    asked = [*asking(root), "--folds.seed", "7"]
    for main, more in ((folds.main, ()), (cv.main, LINEAR), (ensemble.main, ())):
        assert run(main, [*asked, *more]) == 5
        message = told(capsys)
        assert "folds.seed" in message
        assert "Put back what has changed. Or delete topics.csv and topics.json" in message
    assert run(ensemble.main, asking(root)) == 0
    for name in ("topics.csv", "topics.json"):
        (root / "folds" / name).unlink()
    assert run(folds.main, asked) == 0
    assert run(cv.main, [*asked, *LINEAR]) != 0  # the run of before is of other folds
    assert "--fresh" in told(capsys)
    assert run(cv.main, [*asked, *LINEAR, "--fresh"]) == 2
    assert "add --yes" in told(capsys)
    assert run(cv.main, [*asked, *LINEAR, "--fresh", "--yes"]) == 0, told(capsys)
    assert run(ensemble.main, asked) == 0, told(capsys)


@pytest.mark.parametrize(
    ("template", "said", "remedy"),
    [
        (
            "['{titel}']",
            "it can name what columns.texts and columns.features list: title",
            "{title}",
        ),
        ("['the title']", "names no column in braces", "the {title}"),
        ("['{title']", "Columns stand in braces, {text}", "{title}"),
        ("['{title} {']", "braces that are text are doubled", "{title} {{"),
        ("['{title}','{title}','x']", "Within one, texts are put together by [SEP]", "{title}"),
    ],
)
def test_a_template_of_a_recipe_says_what_it_can_name(root, capsys, template, said, remedy):
    asked = [*asking(root), *LINEAR, "--dry-run", "--set"]
    assert run(cv.main, [*asked, f"template={template}"]) in (2, 3)
    assert said in told(capsys)
    assert run(cv.main, [*asked, f"template=['{remedy}']"]) == 0, told(capsys)


# Archives.


def locked(folder: Path) -> None:
    """An archive whose entry says that it is encrypted."""
    packed("train.csv.zip", TRAIN)(folder)
    content = bytearray((folder / "train.csv.zip").read_bytes())
    content[6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    (folder / "train.csv.zip").write_bytes(bytes(content))


def empty(folder: Path) -> None:
    (folder / TRAIN).unlink()
    zipfile.ZipFile(folder / "train.zip", "w").close()


ARCHIVES = [
    (
        packed("both.zip", TRAIN, TEST),
        "--train both.zip --test both.zip",
        "Unpack it, and give the folder with its files",
        unpacked("both.zip"),
    ),
    (
        empty,
        "--train train.zip",
        "without a file in it; download it again",
        both(without("train.zip"), as_before(TRAIN)),
    ),
    (
        locked,
        "",
        "Unpack it first",
        both(without("train.csv.zip"), as_before(TRAIN)),
    ),
]


@pytest.mark.parametrize(("spoil", "asked", "said", "remedy"), ARCHIVES)
def test_an_archive_says_what_to_do(tmp_path, capsys, spoil, asked, said, remedy):
    assert_the_remedy_works(tmp_path, capsys, spoil, asked, said, remedy)


def test_an_archive_beyond_the_limit_is_unpacked_by_hand(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("pipeline.data.reading.packed.MOST_BYTES", 500)
    assert_the_remedy_works(
        tmp_path,
        capsys,
        packed("train.zip", TRAIN),
        "",
        "unpack it yourself if that is right",
        unpacked("train.zip"),
    )


# Folders.


def test_a_root_that_is_not_there_says_what_lies_under_one(root, capsys):
    assert run(doctor.main, ["--root", str(root / "topics")]) == 2
    message = told(capsys)
    assert "there is no folder" in message
    assert "--root takes the one that has" in message
    named = re.findall(r"\w+/", message.partition("--root takes the one that has")[2])
    assert all((root / name).is_dir() for name in named if name != "submissions/"), named
    assert run(doctor.main, ["--root", str(root)]) == 0, told(capsys)


def test_a_folder_to_write_into_is_made_first_or_another_place_is_named(tmp_path):
    recipe = TransformerRecipe(name="x", backbone="tiny")
    checks = {"export": lambda out: check_export(recipe, str(out)), "pack": check_place}
    for name, check in checks.items():
        out = tmp_path / name / "bundle"
        with pytest.raises(UsageError, match="make it first, or name another place"):
            check(out)
        check(tmp_path / "elsewhere")
        out.parent.mkdir()
        check(out)
        out.mkdir()
        with pytest.raises(UsageError, match=r"name another (place|folder), or delete it"):
            check(out)
        out.rmdir()
        check(out)


def test_a_backbone_that_is_not_there_is_put_there_or_named_otherwise(tmp_path):
    recipe = TransformerRecipe(name="x", backbone=str(tmp_path / "models" / "tiny"))
    with pytest.raises(UsageError, match="Put its files there, or name another one, or a Hugging"):
        locate(recipe)
    assert locate(replace(recipe, backbone="someone/tiny-model")).origin == "someone/tiny-model"
    tiny_backbone(Path(recipe.backbone), WORDS)
    assert locate(recipe).folder_or_id == recipe.backbone


# Settings that are made of flags and recipes.

REFUSED: list[tuple[Callable[..., object], Any, str, Any]] = [
    (Pretraining, {"learning_rate": 5}, "--learning-rate is 5; expected above 0", 0.5),
    (Pretraining, {"mask": 15}, "--mask is 15; it must be above 0 and below 1", 0.15),
    (Pretraining, {"new_vocabulary": 9}, "--new-vocabulary is 9; it must be at least 200", 200),
    (Pretraining, {"epochs": 0}, "--epochs is 0; it must be at least 1", 1),
    (check_method, {"method": "ridge"}, "does not blend texts: they cannot be", "greedy"),
]


@pytest.mark.parametrize(("make", "given", "said", "right"), REFUSED, ids=[x[2] for x in REFUSED])
def test_a_setting_says_what_it_takes(make, given, said, right):
    with pytest.raises(UsageError, match=said):
        make(**given)
    make(**dict.fromkeys(given, right))


def test_a_recipe_of_a_name_that_is_taken_gets_another(tmp_path):
    recipe, made = (
        TransformerRecipe(name="x", backbone="tiny"),
        Pretrained(folder=tmp_path, record={}, new=True),
    )
    for mark in ("0", "1"):
        again = replace(made, record={"sha256": mark})
        if mark == "1":
            with pytest.raises(UsageError, match="says something else; give another --recipe"):
                write_recipe(recipe, again, tmp_path, "mine")
        write_recipe(recipe, again, tmp_path, f"mine{mark * int(mark)}")


def test_a_prefix_before_places_is_taken_away():
    recipe = TransformerRecipe(name="x", backbone="tiny", prefix="query: ")
    (told,) = problems_of_places(recipe, "tags", "units", "")
    assert "prefix moves the places of units; set it to nothing: --set prefix=" in told
    assert not list(problems_of_places(replace(recipe, prefix=""), "tags", "units", ""))


# Tokens.

TEXTS = np.array([["a cat", "a dog barks"]], dtype=object)


class Told:
    """What a store says while it is made."""

    def __init__(self) -> None:
        self.events: list[str] = []

    def phase(self, name: str, total: int) -> None:
        pass

    def advance(self, steps: int = 1) -> None:
        pass

    def event(self, what: str, message: str, **facts: object) -> None:
        self.events.append(message)


def store(
    words: list[str] = WORDS, max_length: int = 16, bare: bool = False, cache: Path | None = None
) -> TokenStore:
    tokenizer = tiny_tokenizer(words)
    if bare:  # as if its tokenizer.json had no template
        tokenizer.backend_tokenizer.post_processor = TemplateProcessing(single="$A", pair="$A $B:1")
    return TokenStore(tokenizer, max_length, "cross", cache)


def test_more_tokens_than_the_backbone_takes_are_set_to_what_is_said():
    with pytest.raises(UsageError) as caught:
        store(max_length=LONGEST + 1)
    (most,) = re.findall(r"Set max_length=(\d+) or less", str(caught.value))
    for length in (int(most), int(most) - 1):
        assert store(max_length=length).rows(TEXTS).tolist() == [[0]]


def test_special_tokens_are_added_where_tokenizer_json_has_the_template(tmp_path):
    with pytest.raises(ArtifactError, match=r"a folder whose tokenizer\.json has the template"):
        store(bare=True)
    tiny_tokenizer(WORDS).save_pretrained(tmp_path)
    saved = json.loads((tmp_path / "tokenizer.json").read_text(encoding="utf-8"))
    assert saved["post_processor"]["type"] == "TemplateProcessing"
    kept = TokenStore(AutoTokenizer.from_pretrained(tmp_path), 16, "cross")
    assert kept.tokens(int(kept.rows(TEXTS)[0, 0]))[0][0] == kept.tokenizer.cls_token_id


def test_weights_of_another_tokenizer_are_read_with_the_files_of_then():
    saved = store().identity()
    with pytest.raises(ArtifactError, match="Use the backbone's files of then, or train again"):
        store(words=[*WORDS, "brown"]).check(saved, "runs/x/weights")
    store().check(saved, "runs/x/weights")


@pytest.mark.parametrize("harm", ["unfinished", "damaged"])
@pytest.mark.parametrize("delete", [False, True])
def test_a_token_store_that_is_not_whole_is_made_again(tmp_path, capsys, harm, delete):
    cache, tell = Paths(tmp_path, "").tokens, Told()
    kept = store(cache=cache)
    kept.keep([TEXTS], tell)
    assert kept.folder is not None
    tokens = kept.tokens(0)[0].tolist()
    asked = ["--root", str(tmp_path)]
    assert run(doctor.main, asked) == 0
    if harm == "unfinished":
        (kept.folder / MANIFEST).unlink()
    else:
        (kept.folder / "tokens.npy").unlink()
        (kept.folder / "tokens.npy").write_bytes(b"")
    capsys.readouterr()
    run(doctor.main, asked)
    said = " ".join(capsys.readouterr().out.split())
    assert "the next run that needs it makes it again; or delete the folder" in said
    if delete:
        shutil.rmtree(kept.folder)
        run(doctor.main, asked)
        assert "token store" not in capsys.readouterr().out
    again = store(cache=cache)
    again.keep([TEXTS], tell)
    assert again.tokens(0)[0].tolist() == tokens
    assert any("tokenised again" in each for each in tell.events) == (
        harm == "damaged" and not delete
    )
    assert run(doctor.main, asked) == 0
    assert "makes it again" not in capsys.readouterr().out
