import json

import numpy as np
import pytest

from pipeline.base.errors import DataError, UsageError
from tests.blendable import Toy, make
from tests.ensemble.toys import CLASSES
from tests.team.files import predictions, read, send


@pytest.fixture
def toy(tmp_path) -> Toy:
    return make(tmp_path, "regression", "pearson", n=60, m=20, holdout=True)


@pytest.fixture
def classes(tmp_path) -> Toy:
    return make(tmp_path, "multiclass", "accuracy", n=80, m=20, sample=(["topic"], ["art"]))


def assert_read(toy, candidate, values, **close):
    for part, file in (("train", "train"), ("test", "test")):
        np.testing.assert_allclose(candidate.values[part], values[file], rtol=1e-6, **close)


def test_one_file_in_any_order_of_rows_is_joined_by_id(toy):
    values = predictions(toy)
    path = send(
        toy, values, files=("train", "test", "dev"), edit=lambda lines: lines[::-1], fold=False
    )
    candidate = read(toy, path)
    assert_read(toy, candidate, values)
    np.testing.assert_allclose(candidate.values["holdout"], values["dev"], rtol=1e-6)
    assert candidate.folds is None


def test_two_files_with_other_names_for_everything(toy):
    values = predictions(toy)
    first = send(toy, values, header=["oof_pred"], files=("dev", "train"), name="oof.csv")
    second = send(toy, values, header=["label"], files=("test",), fold=False, name="sub.csv")
    for path in (first, second):
        path.write_text(path.read_text().replace("id,", "ID_CODE,", 1))
    candidate = read(toy, first, test=second)
    assert_read(toy, candidate, values)
    assert list(candidate.sources) == ["oof.csv", "sub.csv"]
    assert candidate.folds is not None
    assert candidate.folds[0].tolist() == [str(fold) for fold in toy.folds.fold_of_row[0]]


def test_ids_stay_text(tmp_path):
    toy = make(tmp_path, "regression", "pearson", n=60, m=20)
    for name in ("train", "test"):
        path = tmp_path / "data" / f"{name}.csv"
        path.write_text(path.read_text().replace(f"{name}-0", f"{'0' if name == 'train' else '9'}"))
    sample = tmp_path / "data" / "sample.csv"
    sample.write_text(sample.read_text().replace("test-0", "9"))
    toy.paths.folds_csv.unlink()
    toy.paths.passport.unlink()
    from pipeline.data.tables import load
    from pipeline.folds.frozen import frozen

    toy.tables = load(toy.competition, tmp_path)
    toy.folds = frozen(toy.competition, toy.paths, toy.tables.train)
    assert toy.folds.ids[3] == "0003"
    values = predictions(toy)
    assert_read(toy, read(toy, send(toy, values)), values)


def test_a_tsv_and_an_index_column_are_read(toy):
    path = send(toy, fold=False)
    lines = [f"{place}\t" + line for place, line in enumerate(path.read_text().splitlines())]
    lines[0] = lines[0].replace("0\t", "\t", 1)
    tsv = path.with_suffix(".tsv")
    tsv.write_text("\n".join(lines).replace(",", "\t") + "\n")
    candidate = read(toy, tsv)
    assert np.isfinite(candidate.values["train"]).all()
    assert "mate.tsv: columns not used: Unnamed: 0" in candidate.notes


@pytest.mark.parametrize(
    "header",
    [
        [*CLASSES],
        [f"prob_{name}" for name in CLASSES],
        [f"{name.upper()}_oof" for name in CLASSES],
        [f"class_{number}" for number in range(len(CLASSES))],
    ],
)
def test_class_columns_are_found_by_name(classes, header):
    values = predictions(classes)
    assert_read(classes, read(classes, send(classes, values, header)), values)


def test_class_columns_in_another_order_are_put_into_ours(classes):
    values = predictions(classes)
    turned = {file: each[:, ::-1] for file, each in values.items()}
    assert_read(classes, read(classes, send(classes, turned, CLASSES[::-1])), values)


def test_logits_become_probabilities(classes):
    values = predictions(classes)
    logits = {file: np.log(each) + 3 for file, each in values.items()}
    path = send(classes, logits)
    with pytest.raises(DataError, match=r"If these are logits .* say --logits"):
        read(classes, path)
    assert_read(classes, read(classes, path, kind="logits"), values, atol=1e-6)


def test_binary_logits_of_one_or_two_columns(tmp_path):
    toy = make(tmp_path, "binary", "auc", n=80)
    values = predictions(toy)
    logits = {file: np.log(each / (1 - each)) for file, each in values.items()}
    assert_read(toy, read(toy, send(toy, logits, ["logit"]), kind="logits"), values, atol=1e-6)
    both = {file: np.hstack([0.5 - each / 2, 0.5 + each / 2]) for file, each in logits.items()}
    path = send(toy, both, ["score_0", "score_1"])
    assert_read(toy, read(toy, path, kind="logits"), values, atol=1e-6)


def test_logits_of_a_regression_are_brought_between_the_labels_bounds(tmp_path):
    toy = make(tmp_path, "regression", "pearson", n=60, m=20, task="label_range: [0, 5]")
    inside = {file: np.clip(each, 0.05, 4.95) for file, each in predictions(toy).items()}
    raw = {file: np.log(each / (5 - each)) for file, each in inside.items()}
    assert_read(toy, read(toy, send(toy, raw), kind="logits"), inside, atol=1e-5)


def test_logits_of_a_regression_without_bounds_are_refused_with_what_to_set(toy):
    with pytest.raises(UsageError, match=r"task.label_range does not tell these: set it"):
        read(toy, send(toy), kind="logits")
    with pytest.raises(UsageError, match="is a regression"):
        read(toy, send(toy), kind="probabilities")


@pytest.mark.parametrize("written", ["[{}]", "({})"])
@pytest.mark.parametrize("between", [", ", " "])
def test_lists_in_one_column_are_read_as_columns(classes, written, between):
    values = predictions(classes)
    path = send(classes, values)
    lines = [line.split(",") for line in path.read_text().splitlines()]
    body = [f'{line[0]},{line[1]},"{written.format(between.join(line[2:]))}"' for line in lines[1:]]
    path.write_text("\n".join(["id,fold,probs", *body]))
    candidate = read(classes, path)
    assert_read(classes, candidate, values)
    assert "mate.csv: probs holds lists" in candidate.notes


def test_names_of_classes_are_read_as_probabilities_of_0_and_1(classes):
    values = predictions(classes)
    path = send(classes, values)
    lines = [line.split(",") for line in path.read_text().splitlines()]
    named = {
        file: [CLASSES[place] for place in each.argmax(axis=1)] for file, each in values.items()
    }
    names = [*named["train"], *named["test"]]
    body = [f"{line[0]},{line[1]},{name}" for line, name in zip(lines[1:], names, strict=True)]
    path.write_text("\n".join(["id,fold,predicted", *body]))
    candidate = read(classes, path)
    certain = {file: np.eye(len(CLASSES))[each.argmax(axis=1)] for file, each in values.items()}
    assert_read(classes, candidate, certain)
    assert "mate.csv: predicted holds names of classes, read as 0 and 1" in candidate.notes


def test_ambiguous_columns_are_refused_with_what_was_found(toy):
    values = {file: np.hstack([each, each + 1]) for file, each in predictions(toy).items()}
    path = send(toy, values, ["model_a", "model_b"])
    with pytest.raises(DataError) as caught:
        read(toy, path)
    assert str(caught.value) == (
        "mate.csv: it cannot be told which columns are the predictions. Found columns of numbers: "
        "model_a, model_b; expected one named 'label' or 'pred', or a single column of numbers. "
        "Rename the columns, or take the others out of the file"
    )


def in_cells(path, written):
    """The cells of the last column are *written* so."""
    lines = [line.split(",") for line in path.read_text().splitlines()]
    edited = [[*line[:-1], f'"{written(line[-1])}"'] for line in lines[1:]]
    path.write_text("\n".join(",".join(line) for line in [lines[0], *edited]))
    return edited[0][-1].strip('"')


def test_decimal_commas_are_read_and_said(toy):
    path = send(toy, header=["pred"])
    first = in_cells(path, lambda cell: cell.replace(".", ","))
    candidate = read(toy, path)
    assert_read(toy, candidate, predictions(toy))
    told = f"{first} is read as {first.replace(',', '.')}"
    assert f"mate.csv: numbers are written another way in pred: {told}" in candidate.notes


def test_percentages_of_which_no_file_has_any_are_named(toy):
    path = send(toy, header=["pred"])
    first = in_cells(path, lambda cell: f"{float(cell):.1f} %")
    with pytest.raises(DataError) as caught:
        read(toy, path)
    assert f"'pred' holds percentages ({first})" in str(caught.value)


def test_probabilities_in_percent_are_shares(classes):
    values = predictions(classes)
    path = send(classes, values)
    lines = [line.split(",") for line in path.read_text().splitlines()]
    edited = [
        [*line[:2], *(f"{100 * float(cell):.8f} %" for cell in line[2:])] for line in lines[1:]
    ]
    path.write_text("\n".join(",".join(line) for line in [lines[0], *edited]))
    assert_read(classes, read(classes, path), values)


def test_percentages_are_told_from_logits(classes):
    values = {file: 100 * each for file, each in predictions(classes).items()}
    with pytest.raises(DataError, match=r"If these are percentages, divide them by 100; if they"):
        read(classes, send(classes, values))


def test_labels_beside_the_predictions_are_not_taken_for_them(toy):
    values = predictions(toy)
    truth = {"train": toy.truth["train"], "test": np.full((20, 1), np.nan)}
    both = {file: np.hstack([truth[file], values[file]]) for file in truth}
    candidate = read(toy, send(toy, both, ["label", "stacked"]))
    assert_read(toy, candidate, values)
    assert candidate.labels is not None
    assert "mate.csv: label taken as the labels, not as predictions" in candidate.notes


def test_no_ids_are_told_with_the_flag_that_names_them(toy):
    path = send(toy)
    path.write_text(path.read_text().replace("id,", "key,", 1).replace("train-", "t"))
    with pytest.raises(DataError, match=r"no column holds our ids.* Name the one with the ids"):
        read(toy, path)


def test_a_named_column_that_is_not_there_is_told(toy):
    with pytest.raises(DataError, match=r"mate.csv has no column 'uid' \(--id\); it has id, fold"):
        read(toy, send(toy), id="uid")
    first = send(toy, files=("train",))
    first.write_text(first.read_text().replace("id,", "row,", 1))
    second = send(toy, files=("test",), fold=False, name="test.csv")
    assert read(toy, first, test=second, id="row").unknown == []
    with pytest.raises(DataError, match=r"no column 'k' \(--fold\)"):
        read(toy, send(toy), fold="k")


def test_two_columns_of_folds_need_a_flag(toy):
    path = send(toy)
    text = path.read_text().splitlines()
    lines = [text[0] + ",kfold"] + [line + "," + line.split(",")[1] for line in text[1:]]
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(DataError, match="several columns of folds: fold, kfold"):
        read(toy, path)
    assert read(toy, path, fold="kfold").folds is not None


def test_ids_that_train_and_test_share_need_a_part(tmp_path):
    toy = make(tmp_path, "regression", "pearson", n=60, m=20)
    for path in [tmp_path / "data" / "test.csv", tmp_path / "data" / "sample.csv"]:
        path.write_text(path.read_text().replace("test-", "train-"))
    from pipeline.data.tables import load

    toy.tables = load(toy.competition, tmp_path)
    values = predictions(toy)
    with pytest.raises(DataError, match="ids that stand in several of train and test"):
        read(toy, send(toy, values))
    first = send(toy, values, files=("train",))
    second = send(toy, values, files=("test",), fold=False, name="test.csv")
    assert_read(toy, read(toy, first, test=second), values)
    path = send(toy, values)
    text = path.read_text().splitlines()
    parts = ["part", *["OOF"] * 60, *["test"] * 20]
    path.write_text("\n".join(f"{line},{part}" for line, part in zip(text, parts, strict=True)))
    assert_read(toy, read(toy, path), values)


def test_a_passport_comes_from_the_flag_a_column_or_the_sidecar(toy):
    path = send(toy)
    assert read(toy, path).claims == []
    assert read(toy, path, passport="ab" * 8).claims == ["ab" * 8]
    path.with_suffix(".json").write_text(json.dumps({"passport": "cd" * 32}))
    assert read(toy, path).claims == ["cd" * 32]
    text = path.read_text().splitlines()
    path.write_text("\n".join([text[0] + ",passport", *(line + ",ef" for line in text[1:])]))
    assert read(toy, path).claims == ["ef"]


@pytest.mark.parametrize("beside", ['{"sha256": "00", "passport": "cd"}', "{", "[]"])
def test_a_sidecar_that_is_not_of_this_file_is_not_used(toy, beside):
    path = send(toy)
    path.with_suffix(".json").write_text(beside)
    candidate = read(toy, path)
    assert candidate.claims == []
    assert "it is not used" in candidate.notes[0]


def test_all_that_is_wrong_with_both_files_is_told_at_once(toy):
    first, second = send(toy, header=["a"], name="a.csv"), toy.root / "b.csv"
    first.write_text("id,x,y\ntrain-0000,1,2\n")
    second.write_text("id\n")
    with pytest.raises(DataError) as caught:
        read(toy, first, test=second)
    assert "a.csv: it cannot be told" in str(caught.value)
    assert "b.csv cannot be read" in str(caught.value)


def test_a_column_named_like_the_target_beside_predictions_is_not_guessed(toy):
    target = toy.competition.outputs[0]

    def old_labels(lines):
        return [[*line, f"{place % 7}"] for place, line in enumerate(lines)]

    path = send(toy, header=["pred", target], edit=old_labels)
    with pytest.raises(DataError, match=f"'{target}' and 'pred' may both be the predictions"):
        read(toy, path)
