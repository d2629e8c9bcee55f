"""One fold with transformers' Trainer, as a script by itself: csv in, predictions and weights out.

    python -m benchmarks.end_to_end.hf_fold JOB.json

JOB.json names the files, the fold, the columns and the TrainingArguments; whole_job.py writes it.
Nothing of the pipeline is imported. The last line printed is JSON: seconds of each part.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

BEGAN = time.perf_counter()


def main() -> int:
    """Train on the other folds, predict this one and the test rows, save everything."""
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    import numpy as np
    import pandas as pd
    import torch
    from transformers import (
        AutoModelForSequenceClassification,
        AutoTokenizer,
        DataCollatorWithPadding,
        Trainer,
        TrainingArguments,
    )

    marks = {"imports": time.perf_counter()}
    frame, test = pd.read_csv(job["train"]), pd.read_csv(job["test"])
    folds = pd.read_csv(job["folds"])
    fold_of_id = dict(zip(folds["id"], folds["fold"], strict=True))
    held_out = frame[job["id"]].map(fold_of_id) == job["fold"]
    torch.manual_seed(job["arguments"]["seed"])
    tokenizer = AutoTokenizer.from_pretrained(job["backbone"])
    model = AutoModelForSequenceClassification.from_pretrained(
        job["backbone"], num_labels=1, dtype=torch.float32
    )
    marks["files and weights"] = time.perf_counter()

    def encode(rows: Any) -> list[dict[str, Any]]:
        texts = [rows[column].tolist() for column in job["texts"]]
        encoded = tokenizer(*texts, truncation=True, max_length=job["max_length"])
        names = list(encoded)
        found = [dict(zip(names, row, strict=True)) for row in zip(*encoded.values(), strict=True)]
        if job["target"] in rows:
            for row, label in zip(found, rows[job["target"]], strict=True):
                row["label"] = label / job["label_scale"]
        return found

    sets = [encode(rows) for rows in (frame[~held_out], frame[held_out], test)]
    marks["tokenising"] = time.perf_counter()
    trainer = Trainer(
        model=model,
        args=TrainingArguments(**job["arguments"]),
        train_dataset=sets[0],
        data_collator=DataCollatorWithPadding(tokenizer),
        processing_class=tokenizer,
    )
    trainer.train()
    marks["training"] = time.perf_counter()
    valid, tested = (trainer.predict(rows).predictions[:, 0] for rows in sets[1:])
    marks["predicting"] = time.perf_counter()
    ids = frame[job["id"]][held_out].to_numpy(dtype=str)
    scale = job["label_scale"]
    np.savez(job["out"] + ".npz", valid_ids=ids, valid=scale * valid, test=scale * tested)
    trainer.save_model(job["out"])
    marks["saving"] = time.perf_counter()
    print(json.dumps(parts(marks)))
    return 0


def parts(marks: dict[str, float]) -> dict[str, float]:
    """Seconds from each mark to the one before."""
    before = [BEGAN, *marks.values()]
    return {name: end - start for start, (name, end) in zip(before, marks.items(), strict=False)}


if __name__ == "__main__":
    raise SystemExit(main())
