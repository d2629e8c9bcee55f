"""The peer: transformers' pipelines behind FastAPI, as their pages show it, on a bundle's weights.

    BUNDLE=bundle uvicorn benchmarks.serve.peer:app

A member with pooling cls and head layers has the layers of transformers' own
BertForSequenceClassification, so its weights are put into that. A pipeline for each learner; the
answer is their mean, as ours is. FastAPI runs the plain function in its pool of threads.
"""

import os
from pathlib import Path
from typing import Any

import torch
from fastapi import FastAPI
from safetensors.torch import load_file
from transformers import AutoModelForSequenceClassification, AutoTokenizer, pipeline

from pipeline.base.files import read_json
from pipeline.base.paths import Part
from pipeline.models.transformer.losses import TargetCodec

THEIRS = {
    "head.first.weight": "bert.pooler.dense.weight",
    "head.first.bias": "bert.pooler.dense.bias",
    "head.linear.weight": "classifier.weight",
    "head.linear.bias": "classifier.bias",
}
"""Our names of the head's weights, and theirs."""


def learner(backbone: Path, weights: Path, max_length: int) -> tuple[Any, TargetCodec]:
    """A pipeline with the weights of a saved learner, and what its outputs mean."""
    model: Any = AutoModelForSequenceClassification.from_pretrained(backbone, num_labels=1)
    state = load_file(weights / "weights.safetensors")
    renamed = {
        THEIRS.get(name, name.replace("backbone.", "bert.", 1)): value
        for name, value in state.items()
        if not name.startswith("backbone.pooler.")
    }
    lacking, strange = model.load_state_dict(renamed, strict=False)
    left = [name for name in lacking if not name.endswith("position_ids")]
    assert not left, f"the member has no {left[:3]}: is its head `layers`, its pooling `cls`?"
    assert not strange, f"the member has {strange[:3]} besides"
    tokenizer = AutoTokenizer.from_pretrained(backbone, model_max_length=max_length)
    codec = TargetCodec.from_json(read_json(weights / "learner.json")["codec"])
    answering = pipeline("text-classification", model=model.eval(), tokenizer=tokenizer)
    return answering, codec


def learners(folder: Path) -> list[tuple[Any, TargetCodec]]:
    """Those of the one member of the bundle in *folder*."""
    (member,) = read_json(folder / "bundle.json")["members"]
    backbone = folder / "backbones" / member["backbone"]
    place = folder / "members" / member["name"]
    limit = member["recipe"]["max_length"]
    return [learner(backbone, place / Part(*part).name, limit) for part in member["parts"]]


LEARNERS = learners(Path(os.environ["BUNDLE"]))
app = FastAPI()


@app.get("/readyz")
def ready() -> dict[str, str]:
    """It answers."""
    return {"status": "ready"}


@app.post("/predict")
def predict(row: dict[str, str]) -> dict[str, Any]:
    """The mean of the learners for a row."""
    asked = {"text": row["sentence_1"], "text_pair": row["sentence_2"]}
    values = []
    for answering, codec in LEARNERS:
        found = answering(asked, function_to_apply="none", truncation=True)
        score = (found[0] if isinstance(found, list) else found)["score"]
        values.append(float(codec.decode(torch.tensor([[score]]))))
    return {"prediction": {"label": sum(values) / len(values)}}
