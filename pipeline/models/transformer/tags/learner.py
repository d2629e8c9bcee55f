"""A transformer that tags: documents cut into windows, a tag for every unit of each.

A window is a row of the training: its text is tokenised as any other, the states of its tokens are
the vectors that the head is given, and a unit reads its tag off its token (`windows`). Units that
begin their token, go on in it or stand behind it have outputs of their own, so the head has three
sets of them. What overlapping windows say of a unit is averaged. With `head: crf` a window's tags
are learned together, as a path (`path_losses`).

Notation: w windows, U units of the longest, T tokens, o tags, W outputs of a token, B windows of a
batch.
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
from pipeline.models.learner import Engine, Watch
from pipeline.models.transformer.factory import TransformerFactory, made, problems_of_places
from pipeline.models.transformer.fine_tuning import TransformerLearner
from pipeline.models.transformer.heads import Pooling
from pipeline.models.transformer.losses import TargetCodec
from pipeline.models.transformer.objective import weights_of
from pipeline.models.transformer.tags.windows import UNKNOWN, WAYS, windows_of
from pipeline.models.transformer_settings import TransformerRecipe
from pipeline.problems.tags import TAGS


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
    paths: bool = False
    """Whether tags are learned as paths: a token then has outputs for pairs of tags, too."""
    reach: int = 0
    """Most tokens of a unit, where it is read off the mean of them; 0: off its first one."""

    @property
    def width(self) -> int:
        """W."""
        return WAYS * self.outputs + (self.outputs**2 if self.paths else 0)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "TagCodec":
        """The codec whose `as_json` went into a JSON file."""
        return cls(**{**values, "class_weights": tuple(values["class_weights"])})

    def as_json(self) -> dict[str, Any]:
        """For `from_json`."""
        names = ["problem", "loss", "class_weights", "outputs", "units", "tokens"]
        values = asdict(self)
        names += [name for name in ("paths", "reach") if values[name]]
        return {name: values[name] for name in names}

    def encode(self, targets: np.ndarray) -> np.ndarray:
        """(w, 3 U) int64."""
        return targets.astype(np.int64)

    def mean_loss(self, logits: Tensor, encoded: Tensor) -> Tensor:
        """Cross-entropy of the units, or of the windows' paths, by (B, T, W) and (B, 3 U) -> ()."""
        tags, places, sizes = encoded.chunk(3, dim=1)
        known = tags != UNKNOWN
        if self.paths or self.reach:
            own, pairs = self._of_units(logits, places, sizes, self.reach)
            if self.paths:
                losses = path_losses(own, pairs, tags, known)
                return losses.sum() / (len(tags) * self.units)
            own = own[known]
        else:
            window = torch.arange(len(tags), device=tags.device)[:, None].expand_as(tags)[known]
            token, way = places[known] // WAYS, places[known] % WAYS
            token = token.clamp(max=logits.shape[1] - 1)
            own = logits.float().unflatten(2, (WAYS, self.outputs))[window, token, way]
        losses = functional.cross_entropy(own, tags[known], reduction="none")
        if self.class_weights:
            losses = losses * losses.new_tensor(self.class_weights)[tags[known]]
        return losses.sum() / (len(tags) * self.units)

    def decode(self, logits: Tensor) -> Tensor:
        """(B, T, W) -> (B, tokens, W) float32, log-probabilities where there are no paths."""
        values = logits.float()
        if not self.paths:
            values = values.unflatten(2, (WAYS, self.outputs)).log_softmax(dim=3).flatten(2)
        return functional.pad(values, (0, 0, 0, self.tokens - values.shape[1]))

    def chances(self, values: np.ndarray, places: np.ndarray, sizes: np.ndarray) -> np.ndarray:
        """(u, o) probabilities of the tags of a window's units at *places* (u,), read off *sizes*
        (u,) tokens, by what `decode` made of it, (tokens, W)."""
        if not self.paths and not self.reach:
            tokens = values.reshape(-1, WAYS, self.outputs)
            return np.asarray(np.exp(tokens[places // WAYS, places % WAYS]))
        said, place, size = (torch.tensor(each)[None] for each in (values, places, sizes))
        reach = int(sizes.max()) if self.reach else 0
        own, pairs = self._of_units(said, place, size, reach)
        found = unit_chances(own, pairs) if self.paths else own.softmax(dim=2)
        return np.asarray(found[0].numpy())

    def _of_units(
        self, logits: Tensor, places: Tensor, sizes: Tensor, reach: int
    ) -> tuple[Tensor, Tensor]:
        """(B, U, o) what the units' tokens say of each tag, and (B, U, o, o) of each pair of tags,
        the unit's own last; of places that are UNKNOWN what comes to hand. *reach*: most tokens
        whose mean is taken, 0 for the first."""
        first = (places.clamp(min=0) // WAYS).clamp(max=logits.shape[1] - 1)
        window = torch.arange(len(places), device=places.device)[:, None]
        said = logits.float()
        own = said[window, first]  # (B, U, W)
        for further in range(1, reach):
            token = (first + further).clamp(max=logits.shape[1] - 1)
            own = own + said[window, token] * (further < sizes)[..., None]
        if reach:
            own = own / sizes.clamp(min=1)[..., None]
        tags = own[..., : WAYS * self.outputs].unflatten(2, (WAYS, self.outputs))
        way = (places.clamp(min=0) % WAYS)[..., None, None].expand(*places.shape, 1, self.outputs)
        pairs = own[..., WAYS * self.outputs :]
        if self.paths:
            pairs = pairs.unflatten(2, (self.outputs, self.outputs))
        return tags.gather(2, way).squeeze(2), pairs


class TaggingLearner(TransformerLearner):
    """The same training of windows, and back to units."""

    codec_kind = TagCodec

    def fit(
        self, train: Table, workspace: Workspace, watch: Watch, rate_scale: float = 1.0
    ) -> None:
        """See `TransformerLearner.fit`."""
        assert train.targets is not None
        recipe, longest = self.shared.recipe, self.shared.recipe.max_length
        windows = windows_of(train, self.shared.store, longest, recipe.subwords)
        self.codec = TagCodec(
            problem=self.shared.task.problem,
            loss="cross-entropy",
            class_weights=weights_of(self.shared.task, train.targets, recipe.class_weights),
            outputs=self.shared.outputs,
            units=sum(map(len, windows.rows)) / len(windows.rows),
            tokens=longest,
            paths=recipe.learns_paths,
            reach=windows.reach if recipe.subwords == "mean" else 0,
        )
        self.counted |= {"windows": len(windows.rows), "units": len(train)}
        super().fit(windows.table(train.targets), workspace, watch, rate_scale)

    def predict(self, table: Table, watch: Watch) -> np.ndarray:
        """(len(table), k) float32; see `pipeline.models.learner.Learner`."""
        module, shared = self._fitted(), self.shared
        codec = module.codec
        assert isinstance(codec, TagCodec)
        module.limits.watch = watch
        recipe = shared.recipe
        windows = windows_of(table, shared.store, recipe.max_length, recipe.subwords)
        data = FoldDataModule(shared.store, shared.batching, self.seed, test=windows.table())
        total, count = np.zeros((len(table), shared.outputs)), np.zeros(len(table))
        with module.limits.memory("outside of a batch"):
            batches = shared.fitter.predict(module, data, watch)
        for numbers, values in batches:
            for number, said in zip(numbers.tolist(), values.numpy(), strict=True):
                rows = windows.rows[number]
                total[rows] += codec.chances(said, windows.places[number], windows.sizes[number])
                count[rows] += 1
        return np.asarray(total / count[:, None], dtype=np.float32)

    def _codec(self, train: Table) -> TargetCodec:
        return self.codec

    def _pooling(self) -> Pooling:
        return TokenStates(self.shared.pristine.hidden, 1, self.seed)

    def _head(self, width: int, inputs: int, outputs: int) -> nn.Module:
        pairs = outputs**2 if self.shared.recipe.learns_paths else 0
        return super()._head(width, inputs, WAYS * outputs + pairs)


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
    if recipe.learns_paths and recipe.class_weights is not None:
        problems.append("class_weights weigh units, and head crf learns the tags of whole windows")
    raise_if(problems, UsageError, f"{recipe.name} cannot tag")


def make_factory(
    recipe: TransformerRecipe, competition: Competition, engine: Engine
) -> TaggingFactory:
    """The factory of a run that tags, on this machine's hardware."""
    check_tagging(recipe)
    return made(TaggingFactory, recipe, competition, engine)


# A linear-chain conditional random field over the units of a window (`head: crf`).
#
# A path of tags scores what each unit's token says of its tag, and what it says of the pair of the
# tag before and its own; the probability of a path is its share among all paths (Lafferty, McCallum
# & Pereira, ICML 2001; pairs that depend on the token as in Ma & Hovy, "End-to-end Sequence
# Labeling via Bi-directional LSTM-CNNs-CRF", ACL 2016). Learned is the right path; answered is how
# likely each tag of a unit is over all paths, so that members with and without it can be blended.


def path_losses(tags_said: Tensor, pairs_said: Tensor, tags: Tensor, known: Tensor) -> Tensor:
    """(B,) minus the log-probability of each window's path.

    Args:
        tags_said: (B, U, o) what is said of each tag.
        pairs_said: (B, U, o, o) of the tag before and the unit's own; of first units never read.
        tags: (B, U) the path.
        known: (B, U) bool, which units there are: the first ones of each window.
    """
    path = tags.clamp(min=0)
    own = tags_said.gather(2, path[..., None]).squeeze(2)
    before = pairs_said[:, 1:].gather(2, _rows_of(path[:, :-1], pairs_said.shape[3])).squeeze(2)
    between = before.gather(2, path[:, 1:, None]).squeeze(2)
    score = (own * known).sum(1) + (between * known[:, 1:]).sum(1)
    return log_partition(tags_said, pairs_said, known) - score


def _rows_of(tags: Tensor, outputs: int) -> Tensor:
    """(B, U, 1, o) to gather the pairs that begin with *tags* (B, U)."""
    return tags[..., None, None].expand(*tags.shape, 1, outputs)


def log_partition(tags_said: Tensor, pairs_said: Tensor, known: Tensor) -> Tensor:
    """(B,) the logarithm of the sum over all paths (the forward algorithm)."""
    reached = tags_said[:, 0]
    for unit in range(1, tags_said.shape[1]):
        further = torch.logsumexp(reached[:, :, None] + pairs_said[:, unit], dim=1)
        further = further + tags_said[:, unit]
        reached = torch.where(known[:, unit, None], further, reached)
    return torch.logsumexp(reached, dim=1)


def unit_chances(tags_said: Tensor, pairs_said: Tensor) -> Tensor:
    """(B, U, o) how likely each tag of each unit is over all paths; every unit is known.

    It is the gradient of the log-partition (Eisner, "Inside-Outside and Forward-Backward Algorithms
    Are Just Backprop", 2016).
    """
    with torch.inference_mode(False), torch.enable_grad():
        said = tags_said.detach().double().requires_grad_()
        known = torch.ones(said.shape[:2], dtype=torch.bool, device=said.device)
        total = log_partition(said, pairs_said.detach().double(), known).sum()
        (found,) = torch.autograd.grad(total, said)
    return found
