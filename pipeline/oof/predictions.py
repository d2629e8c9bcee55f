"""Predictions on disk: what a fold commits, what a run is, how runs are read back.

    oof/COMP/RUN/seed-42/fold-0.npz    valid_ids (n_f,), valid (n_f, k), test_ids (m,), test (m, k),
                                       holdout_ids (h,), holdout (h, k)
    oof/COMP/RUN/seed-42/fold-0.json   the fold's manifest, written after the .npz
    oof/COMP/RUN/seed-42/fold-0-valid.jsonl, -test.jsonl, -holdout.jsonl    of texts: the candidates
    oof/COMP/RUN/run.json              the run's manifest, written last: exists = complete

Where predictions are texts, the .npz holds how many candidates a row has, and the SHA-256 of the
lines: who knows its digest knows theirs.

Rows are known by id. Whatever is read is checked whole: a row that is missing, doubled or foreign
is refused, and so is a part that other predictions could have been put into.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.base import ArtifactError, raise_if, read_json
from pipeline.base.files import MEND, commit_arrays, commit_json, commit_text, read_arrays
from pipeline.base.paths import Part
from pipeline.data import doubled
from pipeline.data.candidates import Candidates, read_lines
from pipeline.data.join import Differences, Order, kept_by_fold
from pipeline.oof.manifest import FORMAT, SAME, check_format, read_manifest


@dataclass(frozen=True, kw_only=True)
class FoldPredictions:
    """What the learner of one fold says about rows it has not seen. Values are float32, of tags
    float16 (`Problem.stored`)."""

    valid_ids: np.ndarray
    """(n_f,) str."""
    valid: np.ndarray
    """(n_f, k)."""
    test_ids: np.ndarray
    """(m,) str."""
    test: np.ndarray
    """(m, k)."""
    holdout_ids: np.ndarray
    """(h,) str; h = 0 where the competition has no holdout file."""
    holdout: np.ndarray
    """(h, k)."""
    valid_apart: np.ndarray | None = None
    """(n_f,) how far the predictions of each row's wordings are apart; None where there is one
    wording of each (`tta` in a recipe). So also of the others."""
    test_apart: np.ndarray | None = None
    holdout_apart: np.ndarray | None = None
    valid_labels: np.ndarray | None = None
    """(n_f, 3) uint8: the hash of each row's id and targets that the passport keeps; None in files
    from before 0.2. It names the rows whose labels have changed since."""
    texts: Mapping[str, Candidates] = field(default_factory=dict)
    """Of valid, test and holdout, where predictions are texts: what was said. The values are then
    (n, 1), how many candidates there are."""

    def said(self, kind: str) -> np.ndarray:
        """What is scored of "valid", "test" or "holdout": values (n, k), or the best texts (n,)."""
        found: np.ndarray = self.texts[kind].best if self.texts else getattr(self, kind)
        return found


KEPT_AS = (np.float32, np.float16)
"""What predictions may be stored as; others become the first."""
LABELS, TEXTS = "valid_labels", "texts"
APART = ("valid_apart", "test_apart", "holdout_apart")
ARRAYS = tuple(
    name for name in FoldPredictions.__dataclass_fields__ if name not in (LABELS, TEXTS, *APART)
)
KINDS = ("valid", "test", "holdout")


def commit_fold(path: Path, predictions: FoldPredictions, manifest: Mapping[str, Any]) -> None:
    """Write one fold's predictions to *path* (.npz), then its manifest beside it (.json)."""
    arrays = {name: getattr(predictions, name) for name in ARRAYS}
    typed = {
        name: value.astype(np.str_) if name.endswith("ids") else _kept(value)
        for name, value in arrays.items()
    }
    for name in APART:
        if (apart := getattr(predictions, name)) is not None:
            typed[name] = apart.astype(np.float32)
    if predictions.valid_labels is not None:
        typed[LABELS] = predictions.valid_labels.astype(np.uint8)
    lines = {}
    for kind, candidates in predictions.texts.items():
        if not len(candidates):
            continue
        said = candidates.lines(typed[f"{kind}_ids"].tolist())
        lines[kind] = commit_text(lines_of(path, kind), said)
        typed[f"{kind}_{TEXTS}"] = np.frombuffer(bytes.fromhex(lines[kind]), np.uint8)
    digest = commit_arrays(path, typed)
    content = {"format": FORMAT, **manifest, "predictions_sha256": digest}
    content |= {"texts_sha256": lines} if lines else {}
    commit_json(path.with_suffix(".json"), content)


def lines_of(path: Path, kind: str) -> Path:
    """Where the candidates of a *kind* of rows lie, beside the .npz at *path*.

    >>> lines_of(Path("seed-42/fold-0.npz"), "test").as_posix()
    'seed-42/fold-0-test.jsonl'
    """
    return path.with_name(f"{path.stem}-{kind}.jsonl")


def files_of(path: Path) -> list[Path]:
    """All files of a fold whose predictions lie at *path*, its manifest first."""
    return [path.with_suffix(".json"), path, *(lines_of(path, kind) for kind in KINDS)]


def texts_in(path: Path, arrays: Mapping[str, np.ndarray]) -> dict[str, Candidates]:
    """Kind -> candidates of the fold whose .npz at *path* holds *arrays*; empty where predictions
    are no texts. ArtifactError where a file is missing, changed, or of other rows."""
    if not any(f"{kind}_{TEXTS}" in arrays for kind in KINDS):
        return {}
    found = {}
    for kind in KINDS:
        if (known := arrays.get(f"{kind}_{TEXTS}")) is None:
            if len(arrays[f"{kind}_ids"]):
                raise ArtifactError(f"{path} does not know its {kind} texts")
            found[kind] = Candidates([], [])
            continue
        lines = lines_of(path, kind)
        if not lines.is_file():
            raise ArtifactError(f"{lines} is missing")
        content = lines.read_bytes()
        if hashlib.sha256(content).digest() != known.tobytes():
            raise ArtifactError(f"{lines} has changed since it was written")
        ids, found[kind] = read_lines(content.decode("utf-8"), str(lines))
        if ids.tolist() != arrays[f"{kind}_ids"].tolist():
            raise ArtifactError(f"{lines} holds other rows than {path.name}")
    return found


def _kept(values: np.ndarray) -> np.ndarray:
    return values.astype(values.dtype if values.dtype in KEPT_AS else KEPT_AS[0])


def read_fold(path: Path) -> tuple[FoldPredictions, dict[str, Any]]:
    """A committed fold and its manifest; ArtifactError where it is missing, damaged or changed."""
    manifest = read_json(path.with_suffix(".json"))
    check_format(manifest, path.with_suffix(".json"))
    arrays = read_arrays(path, expected_sha256=str(manifest.get("predictions_sha256")))
    raise_if(_misshapen(arrays), ArtifactError, f"{path} holds no predictions of one fold")
    found = {name: arrays[name] for name in (*ARRAYS, *APART, LABELS) if name in arrays}
    try:
        return FoldPredictions(**found, texts=texts_in(path, arrays)), manifest
    except ArtifactError as error:
        raise ArtifactError(f"{error}; {MEND}") from error


def _misshapen(arrays: Mapping[str, np.ndarray]) -> list[str]:
    """What keeps *arrays* from being those of `FoldPredictions`."""
    if missing := [name for name in ARRAYS if name not in arrays]:
        return [f"it lacks {', '.join(missing)}; delete it and train the fold again"]
    problems = []
    for name in KINDS:
        ids, values = arrays[f"{name}_ids"], arrays[name]
        if ids.dtype.kind != "U" or ids.ndim != 1:
            problems.append(f"{name}_ids is {ids.dtype} {ids.shape}, expected one text per row")
        elif values.dtype.kind != "f" or values.shape != (len(ids), *arrays["valid"].shape[1:2]):
            problems.append(
                f"{name} is {values.dtype} {values.shape}, expected numbers for {len(ids)} rows"
            )
        elif not _each_once(ids):
            problems.append(f"{name}_ids names a row twice")
    for name in APART:
        rows, apart = len(arrays[name.replace("apart", "ids")]), arrays.get(name)
        if apart is not None and (apart.dtype.kind != "f" or apart.shape != (rows,)):
            problems.append(f"{name} is {apart.dtype} {apart.shape}, expected {rows} numbers")
    labels = arrays.get(LABELS)
    if labels is not None and (labels.dtype != np.uint8 or len(labels) != len(arrays["valid_ids"])):
        problems.append(f"{LABELS} is {labels.dtype} {labels.shape}, expected bytes for each row")
    return problems


def _each_once(ids: np.ndarray) -> bool:
    """Whether no id stands there twice; those that ascend are seen to at a glance."""
    return bool((ids[1:] > ids[:-1]).all()) or not doubled(ids.tolist())


@dataclass(frozen=True, kw_only=True)
class Run:
    """One model's predictions for every row, averaged over its seeds and repeats."""

    name: str
    manifest: dict[str, Any]
    oof: np.ndarray
    """(n, k) float64, in the order of the ids asked for."""
    test: np.ndarray
    """(m, k) float64: the mean over parts (seed x repeat x fold)."""
    holdout: np.ndarray
    """(h, k) float64, likewise."""
    not_finite: dict[str, int]
    """Of "test" and "holdout": how many predictions of all parts are not finite."""
    by_fold: dict[str, np.ndarray]
    """Of "test" and "holdout": (K, s, k) float32 of the learners of each fold, the mean over seeds
    and repeats, for the rows at `kept_by_fold`."""
    apart: dict[str, np.ndarray] = field(default_factory=dict)
    """Of "oof", "test", "holdout": (rows,) how far wordings are apart; empty without `tta`."""

    @property
    def problems(self) -> list[str]:
        """Why no ensemble can use the run, though it is whole: predictions that are no numbers."""
        return [
            f"run {self.name} has {count} predictions of {kind} rows that are not finite: "
            "train it again"
            for kind, count in self.not_finite.items()
            if count and (kind == "test" or self.manifest.get("has_holdout", True))
        ]


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """The rows that are asked for; the same one for many runs saves time."""

    train: Order
    test: Order
    holdout: Order

    @classmethod
    def of(cls, ids: np.ndarray, test_ids: np.ndarray, holdout_ids: np.ndarray) -> "Wanted":
        """Rows in the order of these ids."""
        return cls(train=Order(ids), test=Order(test_ids), holdout=Order(holdout_ids))


def read_run(folder: Path, ids: np.ndarray, test_ids: np.ndarray, holdout_ids: np.ndarray) -> Run:
    """Read a complete run, its rows put into the order of the given ids; see `assemble`."""
    return assemble(folder, read_manifest(folder), Wanted.of(ids, test_ids, holdout_ids))


def assemble(folder: Path, manifest: dict[str, Any], wanted: Wanted) -> Run:
    """Join the parts that *manifest* lists, checked against the digests it holds.

    One part is in memory at a time. Raises ArtifactError where a part is missing or damaged, where
    the parts were not made with the same backbone and tokenizer, or where the run's rows are not
    exactly those asked for; the message names the first ids that differ.
    """
    ids, columns = wanted.train.ids, len(manifest["outputs"])
    total, count = np.zeros((len(ids), columns)), np.zeros(len(ids), dtype=int)
    others = {"test": wanted.test, "holdout": wanted.holdout}
    sums = {name: np.zeros((len(order), columns)) for name, order in others.items()}
    not_finite = dict.fromkeys(sums, 0)
    kept = {name: kept_by_fold(order.ids) for name, order in others.items()}
    of_fold: dict[str, dict[str, list[np.ndarray]]] = {name: {} for name in sums}
    fold_manifests: dict[str, dict[str, Any]] = {}
    apart: dict[str, np.ndarray] = {}
    expected = len(manifest["seeds"]) * manifest["repeats"]
    for part, digest in manifest["parts"].items():
        fold, fold_manifests[part] = read_fold(folder / f"{part}.npz")
        if fold_manifests[part]["predictions_sha256"] != digest:
            raise ArtifactError(
                f"{folder / part}.npz is not the file that {folder / 'run.json'} was made from. "
                "Run the model's pipeline.cv command again."
            )
        if fold.texts:
            raise ArtifactError(f"{folder} holds texts, which have no mean; see oof/texts")
        if fold.valid.shape[1] != columns:
            raise ArtifactError(
                f"{folder / part}.npz predicts {fold.valid.shape[1]} columns, but "
                f"{folder / 'run.json'} names {manifest['outputs']}. Train the fold again."
            )
        rows = wanted.train.places(fold.valid_ids)
        unknown = fold.valid_ids[rows < 0].tolist()
        strange = Differences(surplus=unknown).of_predictions("training")
        raise_if(strange, ArtifactError, str(folder))
        for name, values in _apart(fold, rows, wanted).items():
            share = expected if name == "oof" else len(manifest["parts"])
            apart[name] = apart.get(name, 0.0) + values / share
        total[rows] += fold.valid
        count[rows] += 1
        for name, values in _others(folder / f"{part}.npz", fold, manifest, wanted).items():
            sums[name] += values
            fold_name = part.rpartition("fold-")[2]
            of_fold[name].setdefault(fold_name, []).append(values[kept[name]])
            not_finite[name] += int((~np.isfinite(values)).sum())
    check_one_origin(str(folder), fold_manifests)
    wrong = [str(ids[place]) for place in np.flatnonzero(count != expected)]
    lacking = Differences(missing=wrong).of_predictions("training")
    raise_if(lacking, ArtifactError, str(folder))
    oof = total / expected
    if not np.isfinite(oof).all():
        first = ids[np.flatnonzero(~np.isfinite(oof).all(axis=1))[:3]].tolist()
        raise ArtifactError(f"{folder} holds predictions that are not finite, first for {first}")
    means = {name: each / len(manifest["parts"]) for name, each in sums.items()}
    by_fold = {
        name: np.stack([np.mean(parts[fold], axis=0) for fold in sorted(parts)])
        for name, parts in of_fold.items()
    }
    return Run(
        name=manifest["name"],
        manifest=manifest,
        apart=apart,
        oof=oof,
        not_finite=not_finite,
        by_fold=by_fold,
        **means,
    )


def _others(
    path: Path, fold: FoldPredictions, manifest: Mapping[str, Any], wanted: Wanted
) -> dict[str, np.ndarray]:
    """What one fold's learner says about test and holdout rows, in the order asked for."""
    found = {"test": wanted.test.aligned(fold.test, fold.test_ids, f"{path}: test")}
    if manifest.get("has_holdout", True):
        found["holdout"] = wanted.holdout.aligned(
            fold.holdout, fold.holdout_ids, f"{path}: holdout"
        )
    else:  # a team-mate's file without those rows
        found["holdout"] = np.full((len(wanted.holdout), fold.valid.shape[1]), np.nan)
    return found


def _apart(fold: FoldPredictions, rows: np.ndarray, wanted: Wanted) -> dict[str, np.ndarray]:
    """How far wordings are apart for one fold's learner, whose held-out rows are at *rows*."""
    if fold.valid_apart is None or fold.test_apart is None or fold.holdout_apart is None:
        return {}
    found = {"oof": np.zeros(len(wanted.train.ids))}
    found["oof"][rows] = fold.valid_apart
    found["test"] = wanted.test.aligned(fold.test_apart, fold.test_ids, "test")
    found["holdout"] = wanted.holdout.aligned(fold.holdout_apart, fold.holdout_ids, "holdout")
    return found


def held_out_ids(
    folder: Path, manifest: Mapping[str, Any], seed: int
) -> dict[tuple[int, int], np.ndarray]:
    """(repeat, fold) -> ids of the rows that the files of one *seed* of a run hold out."""
    return {
        (repeat, fold): read_fold(folder / f"{Part(seed, repeat, fold).name}.npz")[0].valid_ids
        for repeat in range(manifest["repeats"])
        for fold in range(manifest["folds"])
    }


def complete_runs(runs: Path) -> list[str]:
    """Names of the complete runs below a competition's oof folder, sorted."""
    return sorted(manifest.parent.name for manifest in runs.glob("*/run.json"))


# One run, one origin: its folds must come from the same backbone and the same tokenizer.
#
# Settings cannot see this: an upgrade of the tokenizers library, or a model folder whose files were
# replaced, changes what a learner reads while every setting stays as it was.


def check_one_origin(where: str, manifests: Mapping[str, Mapping[str, Any]]) -> None:
    """Raise ArtifactError where the parts, name -> manifest, were not made from the same things."""
    for fact, happened in SAME.items():
        parts_of: dict[Any, list[str]] = {}
        for name, manifest in manifests.items():
            parts_of.setdefault(_facts(manifest).get(fact), []).append(name)
        if len(parts_of) > 1:
            lines = [
                f"  - {str(value)[:16]} ({_versions(manifests[names[0]])}): {', '.join(names)}"
                for value, names in parts_of.items()
            ]
            raise ArtifactError(
                f"{happened} between the folds of {where}, so they are not one model:\n"
                + "\n".join(lines)
                + "\nTrain it anew with --fresh; or install the versions of the parts you want to "
                "keep, delete the others' .json and .npz, and run the same command again."
            )


def _facts(manifest: Mapping[str, Any]) -> Mapping[str, Any]:
    facts = manifest.get("factory")
    return facts if isinstance(facts, dict) else {}


def _versions(manifest: Mapping[str, Any]) -> str:
    versions = _facts(manifest).get("versions", {})
    found = [
        f"{name} {versions[name]}" for name in ("tokenizers", "transformers") if name in versions
    ]
    return ", ".join(found) or "versions unknown"
