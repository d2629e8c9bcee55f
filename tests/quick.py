"""A recipe `linear` that learns little and soon, in place of the shipped one."""

from pathlib import Path

QUICK = "learner: linear\nchar_ngrams: [1, 2]\nword_ngrams: [1, 1]\nbuckets: 4096\nstrengths: [1]\n"


def quick(root: Path) -> Path:
    """Have `linear` be quick below *root*; the folder of its recipes."""
    models = root / "configs" / "models"
    models.mkdir(parents=True, exist_ok=True)
    (models / "linear.yaml").write_text(QUICK)
    return models
