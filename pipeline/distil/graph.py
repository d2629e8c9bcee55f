"""A fitted transformer as an ONNX file: token numbers in, predictions out.

torch.onnx.export in its dynamo form (torch.export), so that batch and lengths stay free. What is
exported is the padded way through the network, as our packed attention is no operator of ONNX.
"""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from pipeline.base import UsageError
from pipeline.base.errors import PipelineError
from pipeline.models.kernels.packing import layers_of
from pipeline.models.transformer.factory import TransformerFactory
from pipeline.models.transformer.fine_tuning import TransformerLearner
from pipeline.models.transformer.module import TextModule

OPSET = 18
"""Of ONNX: the lowest that the exporter writes without converting."""


class Answering(nn.Module):
    """A network whose inputs stand side by side: for each text that is read alone, *names*."""

    def __init__(self, module: TextModule, names: Sequence[str]) -> None:
        super().__init__()
        self.network, self.names = module.network, list(names)
        self.decode, self.own = module.codec.decode, module.stepper.objective.own

    def forward(self, *arrays: Tensor) -> Tensor:
        """u x names arrays (B, T) of token numbers, masks and types -> (B, k)."""
        width = len(self.names)
        inputs = [
            dict(zip(self.names, arrays[start : start + width], strict=True))
            for start in range(0, len(arrays), width)
        ]
        network = self.network
        vectors = [
            network.pooling(
                layers_of(network.backbone, each, network.pooling.layers), each["attention_mask"]
            )
            for each in inputs
        ]
        return self.decode(self.own(network.head(vectors)))


def inputs_of(factory: TransformerFactory) -> list[str]:
    """What the network is given of each text."""
    types = ["token_type_ids"] * factory.shared.store.uses_type_ids
    return ["input_ids", "attention_mask", *types]


def write(
    factory: TransformerFactory, learner: TransformerLearner, inputs: int, path: Path
) -> None:
    """Export the *learner* of *factory*, which reads so many *inputs* of a row, to *path*.

    It does not predict any more afterwards; a learner that is loaded then does.
    """
    module = learner.module
    assert module is not None, "fit or load before it is exported"
    network, backbone = module.network, module.network.backbone
    packed = backbone.config._attn_implementation  # type: ignore[union-attr]
    network.packing = None
    for layer in network.modules():
        if isinstance(layer, nn.Linear):
            layer.__class__ = nn.Linear  # our oneDNN product is no operator of ONNX
    names = inputs_of(factory)
    kinds = [(number, name) for number in range(inputs) for name in names]
    examples = tuple(
        torch.full((2, 7 + number), 0 if name == "token_type_ids" else 1) for number, name in kinds
    )
    free = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}
    backbone.set_attn_implementation(factory.attention)  # type: ignore[operator]
    try:
        with _quiet(), torch.no_grad():
            program = torch.onnx.export(
                Answering(module.cpu(), names).eval(),
                examples,
                dynamo=True,
                verbose=False,
                opset_version=OPSET,
                dynamic_shapes=(tuple(free for _ in kinds),),
                input_names=[f"{name}_{number + 1}" if number else name for number, name in kinds],
                output_names=["predictions"],
            )
            assert program is not None, "the dynamo form gives a program"
            program.save(str(path))
    except (MemoryError, PipelineError):
        raise
    except Exception as error:  # whatever this backbone has that the exporter does not know
        said = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise UsageError(
            f"{factory.weights.origin} ({factory.backbone_facts.kind}) cannot be exported: {said}. "
            "Choose another backbone for the student"
        ) from error
    finally:
        backbone.set_attn_implementation(packed)  # type: ignore[operator]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Within, what the exporters say of themselves is not printed."""
    before = logging.root.manager.disable
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        logging.disable(logging.WARNING)
        try:
            yield
        finally:
            logging.disable(before)


def quantise(source: Path, target: Path) -> None:
    """The model in *source* with weights in int8, activations brought to it as they come."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with _quiet():
        quantize_dynamic(str(source), str(target), weight_type=QuantType.QInt8)
