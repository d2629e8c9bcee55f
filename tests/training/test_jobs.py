from pipeline.base.files import commit_json
from pipeline.cv import parser
from pipeline.models.linear import learner
from pipeline.training import ground as wiring
from pipeline.training.ground import jobs_of
from tests.toy import toy_competition


class Held:
    """A factory that tells when it is made and when it is closed."""

    def __init__(self, name, told):
        self.name, self.told = name, told
        told.append(f"{name} made")

    def seeds_matter(self, train):
        return True

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


def job_of(root, *more):
    options = parser()
    args = options.read(["--root", str(root), "--model", "linear", *more])
    (job,) = jobs_of(args, options.competition(args))
    return job


def fold_of(job, seed, **recipe):
    """A fold that the run has, trained with the settings *recipe*."""
    path = job.paths.fold_predictions("linear", seed, 0, 0).with_suffix(".json")
    commit_json(path, {"settings": {"recipe": recipe}})


def test_where_every_seed_gives_the_same_bytes_one_stands_for_all(tmp_path):
    toy_competition(tmp_path)
    several = job_of(tmp_path, "--seed", "7", "3", "5")
    assert several.seeds == [3]
    assert several.notes == ("every seed gives the same bytes: seed 3 stands for all",)
    assert not job_of(tmp_path, "--seed", "7").notes
    fold_of(several, 7, class_fit="auto", pair_order="auto")
    assert job_of(tmp_path, "--seed", "3", "7").seeds == [7]
    assert job_of(tmp_path, "--seed", "42").seeds == [7]


def test_seeds_count_where_rows_are_drawn_by_them(tmp_path, monkeypatch):
    toy_competition(tmp_path)
    monkeypatch.setattr(learner, "MOST_NGRAMS", 10)
    job = job_of(tmp_path, "--seed", "1", "2")
    assert (job.seeds, job.notes) == ([1, 2], ())


def test_a_run_that_an_earlier_release_began_is_gone_on_with_as_it_was(tmp_path):
    toy_competition(tmp_path)
    new = job_of(tmp_path)
    assert (new.recipe.class_fit, new.recipe.pair_order) == ("auto", "auto")
    fold_of(new, 42, char_ngrams=[1, 4])
    old = job_of(tmp_path)
    assert (old.recipe.class_fit, old.recipe.pair_order) == ("squares", "ordered")
    assert "class_fit squares, pair_order ordered" in old.notes[0]
    assert not {"class_fit", "pair_order"} & set(old.settings["recipe"])
    anew = job_of(tmp_path, "--fresh", "--yes")
    assert (anew.recipe, anew.notes) == (new.recipe, ())
