from pipeline.cv import parser
from pipeline.training import jobs as wiring
from pipeline.training.jobs import jobs_of
from tests.toy import toy_competition


class Held:
    """A factory that tells when it is made and when it is closed."""

    def __init__(self, name, told):
        self.name, self.told = name, told
        told.append(f"{name} made")

    def close(self):
        self.told.append(f"{self.name} closed")


def test_a_models_memory_is_given_back_before_the_next_is_loaded(tmp_path, monkeypatch):
    toy_competition(tmp_path)
    told = []
    monkeypatch.setattr(wiring, "make_factory", lambda recipe, *more: Held(recipe.name, told))
    options = parser()
    args = options.read(["--root", str(tmp_path), "--model", "linear", "--model", "tiny"])
    for job in jobs_of(args, options.competition(args)):
        told.append(f"{job.run} used")
    assert told == [
        "linear made", "linear used", "linear closed", "tiny made", "tiny used", "tiny closed",
    ]  # fmt: skip
