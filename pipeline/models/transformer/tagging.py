"""A transformer that tags: documents cut into windows, a tag for every unit of each.

A window is a row of the training: its text is tokenised as any other, the states of its tokens are
the vectors that the head is given, and a unit reads its tag off the token that covers its first
character. Several units may share a token (characters in a word piece), and a unit may have none (a
space), so the head has three sets of outputs per tag: for a unit that begins its token, for one
that goes on in it, and for one that stands behind it. Windows of long documents overlap; what they
say of a unit is averaged.

Notation: w windows, U units of the longest, T tokens, o tags, B windows of a batch.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.base import Competition, UsageError, raise_if
from pipeline.base.paths import Workspace
from pipeline.data import Table
from pipeline.data.tokens.data_module import FoldDataModule
from pipeline.data.tokens.store import TokenStore
from pipeline.data.tokens.tokenizer import clean
from pipeline.models.learner import Engine, Watch
from pipeline.models.transformer.factory import TransformerFactory, made, problems_of_places
from pipeline.models.transformer.fine_tuning import TransformerLearner
from pipeline.models.transformer.heads import Pooling
from pipeline.models.transformer.losses import TargetCodec
from pipeline.models.transformer.objective import weights_of
from pipeline.models.transformer_settings import TransformerRecipe
from pipeline.problems.tags import TAGS

BEGINS, GOES_ON, BEHIND = range(3)
WAYS = 3
UNKNOWN = -1
"""In place of a tag, where a window has fewer units than the longest."""
STRIDE = 0.25
"""Share of a window that the next one repeats."""
SPARE = 2
"""Tokens left free in a window, as a text that is cut may be tokenised a little otherwise."""


@dataclass(frozen=True)
class Windows:
    """The windows of the documents of a table of units."""

    texts: list[str]
    """(w,) what is tokenised."""
    rows: list[np.ndarray]
    """(w,) each: positions of its units in the table."""
    places: list[np.ndarray]
    """(w,) each: WAYS x the place of a unit's token among the window's, plus how it stands to
    it."""

    def table(self, targets: np.ndarray | None = None) -> Table:
        """A row per window; *targets* (n, 2) of the units become (w, 2 U): tags, then places."""
        ids = np.array([str(number) for number in range(len(self.texts))], dtype=object)
        texts = np.empty((len(self.texts), 1), dtype=object)
        texts[:, 0] = self.texts
        if targets is None:
            return Table(ids=ids, texts=texts)
        most = max(map(len, self.rows))
        packed = np.full((len(self.rows), 2 * most), float(UNKNOWN))
        for row, (units, places) in enumerate(zip(self.rows, self.places, strict=True)):
            packed[row, : len(units)] = targets[units, 0]
            packed[row, most : most + len(units)] = places
        return Table(ids=ids, texts=texts, targets=packed)


def windows_of(table: Table, store: TokenStore, longest: int) -> Windows:
    """The windows of the documents in *table*, of at most *longest* tokens each."""
    assert table.units is not None, "a table of units"
    backend = store.tokenizer.backend_tokenizer
    documents = [np.arange(rows.start, rows.stop) for rows in table.units.documents]
    pieces = [clean(text) for text in table.texts[:, 0].tolist()]
    after = [clean(text) for text in table.units.after.tolist()]

    def encoded(parts: Sequence[np.ndarray]) -> list[Any]:
        backend.no_truncation()
        backend.no_padding()
        found: list[Any] = backend.encode_batch([_text(pieces, after, each) for each in parts])
        return found

    parts: list[np.ndarray] = []
    for units, found in zip(documents, encoded(documents), strict=True):
        parts += (
            [units] if len(found.ids) <= longest else _cut(units, pieces, after, found, longest)
        )
    places = [
        _places(pieces, after, units, found.offsets[:longest])
        for units, found in zip(parts, encoded(parts), strict=True)
    ]
    return Windows([_text(pieces, after, units) for units in parts], parts, places)


def _text(pieces: Sequence[str], after: Sequence[str], units: np.ndarray) -> str:
    return "".join(pieces[row] + after[row] for row in units.tolist())


def _cut(
    units: np.ndarray, pieces: Sequence[str], after: Sequence[str], found: Any, longest: int
) -> list[np.ndarray]:
    """The *units* of a document in overlapping windows, cut behind a space where there is one."""
    place = _places(pieces, after, units, found.offsets) // WAYS  # (u,) of each unit's token
    room = max(longest - SPARE - found.special_tokens_mask.count(1), 1)
    spaced = np.array([(pieces[row] + after[row])[-1:].isspace() for row in units.tolist()])
    parts, start = [], 0
    while True:
        end = int(np.searchsorted(place, place[start] + room, side="left"))
        if end >= len(units):
            parts.append(units[start:])
            return parts
        end = max(end, start + 1)
        borders = np.flatnonzero(spaced[start:end])
        if len(borders) and borders[-1] > (end - start) // 2:
            end = start + int(borders[-1]) + 1
        parts.append(units[start:end])
        again = max(end - max(int(STRIDE * (end - start)), 1), start + 1)
        borders = np.flatnonzero(spaced[again:end])
        start = again + (
            int(borders[0]) + 1 if len(borders) and again + borders[0] + 1 < end else 0
        )


def _places(
    pieces: Sequence[str],
    after: Sequence[str],
    units: np.ndarray,
    offsets: Sequence[tuple[int, int]],
) -> np.ndarray:
    """(u,) of each unit: WAYS x the place of its token, plus how it stands to it."""
    covering = np.full(sum(len(pieces[row] + after[row]) for row in units.tolist()) + 1, -1)
    for number, (first, behind) in enumerate(offsets):
        covering[first:behind] = number
    found, at, last = [], 0, 0
    for row in units.tolist():
        inside = covering[at : at + len(pieces[row])]
        covered = np.flatnonzero(inside >= 0)
        if len(covered):
            last = int(inside[covered[0]])
            found.append(WAYS * last + (BEGINS if offsets[last][0] >= at else GOES_ON))
        else:
            found.append(WAYS * last + BEHIND)
        at += len(pieces[row] + after[row])
    return np.array(found, dtype=np.int64)


class TokenStates(Pooling):
    """No pooling: the states of all tokens, (B, T, H)."""

    def forward(self, states: Sequence[Tensor], mask: Tensor) -> Tensor:
        """See `Pooling.forward`."""
        return states[-1].float()


@dataclass(frozen=True, kw_only=True)
class TagCodec(TargetCodec):
    """Between tags of units and what the head says of tokens."""

    outputs: int = 0
    """o."""
    units: float = 1.0
    """Of a window, on average: what the loss is divided by, so that it is the same however a step
    is cut."""
    tokens: int = 0
    """Longest input: what outputs are padded to."""

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "TagCodec":
        """The codec whose `as_json` went into a JSON file."""
        return cls(**{**values, "class_weights": tuple(values["class_weights"])})

    def as_json(self) -> dict[str, Any]:
        """For `from_json`."""
        names = ("problem", "loss", "class_weights", "outputs", "units", "tokens")
        values = asdict(self)
        return {name: values[name] for name in names}

    def encode(self, targets: np.ndarray) -> np.ndarray:
        """(w, 2 U) int64."""
        return targets.astype(np.int64)

    def mean_loss(self, logits: Tensor, encoded: Tensor) -> Tensor:
        """Cross-entropy of the units, by (B, T, 3 o) and (B, 2 U) -> ()."""
        tags, places = encoded.chunk(2, dim=1)
        known = tags != UNKNOWN
        window = torch.arange(len(tags), device=tags.device)[:, None].expand_as(tags)[known]
        token, way = places[known] // WAYS, places[known] % WAYS
        token = token.clamp(max=logits.shape[1] - 1)
        own = logits.float().unflatten(2, (WAYS, self.outputs))[window, token, way]
        losses = functional.cross_entropy(own, tags[known], reduction="none")
        if self.class_weights:
            losses = losses * losses.new_tensor(self.class_weights)[tags[known]]
        return losses.sum() / (len(tags) * self.units)

    def decode(self, logits: Tensor) -> Tensor:
        """(B, T, 3 o) -> (B, tokens, 3 o) log-probabilities, float32."""
        chances = logits.float().unflatten(2, (WAYS, self.outputs)).log_softmax(dim=3).flatten(2)
        return functional.pad(chances, (0, 0, 0, self.tokens - chances.shape[1]))


class TaggingLearner(TransformerLearner):
    """The same training of windows, and back to units."""

    codec_kind = TagCodec

    def fit(
        self, train: Table, workspace: Workspace, watch: Watch, rate_scale: float = 1.0
    ) -> None:
        """See `TransformerLearner.fit`."""
        assert train.targets is not None
        recipe, longest = self.shared.recipe, self.shared.recipe.max_length
        windows = windows_of(train, self.shared.store, longest)
        self.codec = TagCodec(
            problem=self.shared.task.problem,
            loss="cross-entropy",
            class_weights=weights_of(self.shared.task, train.targets, recipe.class_weights),
            outputs=self.shared.outputs,
            units=sum(map(len, windows.rows)) / len(windows.rows),
            tokens=longest,
        )
        self.counted |= {"windows": len(windows.rows), "units": len(train)}
        super().fit(windows.table(train.targets), workspace, watch, rate_scale)

    def predict(self, table: Table, watch: Watch) -> np.ndarray:
        """(len(table), k) float32; see `pipeline.models.learner.Learner`."""
        module, shared = self._fitted(), self.shared
        module.limits.watch = watch
        windows = windows_of(table, shared.store, shared.recipe.max_length)
        data = FoldDataModule(shared.store, shared.batching, self.seed, test=windows.table())
        total, count = np.zeros((len(table), shared.outputs)), np.zeros(len(table))
        with module.limits.memory("outside of a batch"):
            batches = shared.fitter.predict(module, data, watch)
        for numbers, values in batches:
            for number, logs in zip(numbers.tolist(), values.numpy(), strict=True):
                places, rows = windows.places[number], windows.rows[number]
                said = logs.reshape(-1, WAYS, shared.outputs)[places // WAYS, places % WAYS]
                total[rows] += np.exp(said)
                count[rows] += 1
        return np.asarray(total / count[:, None], dtype=np.float32)

    def _codec(self, train: Table) -> TargetCodec:
        return self.codec

    def _pooling(self) -> Pooling:
        return TokenStates(self.shared.pristine.hidden, 1, self.seed)

    def _head(self, width: int, inputs: int, outputs: int) -> nn.Module:
        return super()._head(width, inputs, WAYS * outputs)


class TaggingFactory(TransformerFactory):
    """Its learners tag."""

    learner = TaggingLearner

    def prepare(self, tables: Sequence[Table], watch: Watch) -> str:
        """Tokenise the windows of every document once."""
        store, longest = self.shared.store, self.shared.recipe.max_length
        windows = [windows_of(table, store, longest) for table in tables]
        line = super().prepare([each.table() for each in windows], watch)
        count = sum(len(each.rows) for each in windows)
        return f"{count:,} windows of documents: {line}"


def check_tagging(recipe: TransformerRecipe) -> None:
    """Raise UsageError where *recipe* asks for what tags cannot have."""
    siamese = "pairing siamese is for pairs of texts"
    problems = list(problems_of_places(recipe, TAGS.name, "units", siamese))
    raise_if(problems, UsageError, f"{recipe.name} cannot tag")


def make_factory(
    recipe: TransformerRecipe, competition: Competition, engine: Engine
) -> TaggingFactory:
    """The factory of a run that tags, on this machine's hardware."""
    check_tagging(recipe)
    return made(TaggingFactory, recipe, competition, engine)
