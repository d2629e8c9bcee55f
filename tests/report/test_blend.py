import pytest

from pipeline.report.drawn.blend import draw
from pipeline.submissions.build import BuildRequest, make
from tests.blendable import make as make_toy
from tests.nightly import nightly


@pytest.mark.parametrize(
    ("problem", "metric"),
    [
        ("regression", "pearson"),
        nightly("multiclass", "log-loss"),
    ],
)
def test_the_picture_says_members_weights_and_scores(tmp_path, problem, metric):
    classes = ["art", "business", "sport", "world"]
    sample = (classes, ["0.25"] * 4) if problem == "multiclass" else None
    toy = make_toy(tmp_path, problem, metric, sample=sample, folds=3)
    for place, noise in enumerate((0.6, 0.9, 1.2)):
        toy.add_run(f"member-with-a-very-long-name-{place}", noise, seed=place)
    runs = sorted(path.name for path in toy.paths.runs.iterdir())
    outcome = make(toy.root, toy.competition, BuildRequest(runs=runs)).outcome
    picture = tmp_path / "figure.svg"
    draw(outcome, picture, seed=1)
    text = picture.read_text("utf-8")
    for words in ("honest and in-sample", "correlation", "weights of", metric):
        assert words in text
    draw(outcome, tmp_path / "again.svg", seed=1)
    assert (tmp_path / "again.svg").read_text("utf-8") == text
    draw(outcome, tmp_path / "figure.png", seed=1, title="another")
    assert (tmp_path / "figure.png").read_bytes()[:4] == b"\x89PNG"
