"""What is known of missing folds by who only hands them out."""

from dataclasses import replace

from pipeline.models.recipes import TransformerRecipe
from pipeline.training.jobs import planned
from pipeline.training.parallel.scheduler import errands_of
from pipeline.training.parallel.workers import missing_of
from tests.training.toys import make_job


def test_an_errand_is_a_fold_of_a_seed_and_names_its_model_alone(tmp_path):
    job = replace(make_job(tmp_path), seeds=[1, 2])
    parts = [part for part in job.parts() if part != (1, 0, 0)]
    argv = ["--model", "a", "--model", "b", "--cluster", "auto", "--seed", "1", "2"]
    found = errands_of(missing_of(job, "b", parts), argv)
    assert len(found) == len(parts)
    first = found[0]
    assert first.name == f"seed-1/fold-1 of {job.run}"
    tail = ["--model", "b", "--seed", "1", "--only-fold", "1", "--worker", "1"]
    assert first.argv == ["--seed", "1", "2", *tail]
    assert first.manifests == [job.predictions(parts[0]).with_suffix(".json")]


def test_news_are_what_a_fold_wrote_down_since_it_was_last_asked(tmp_path):
    job = make_job(tmp_path)
    part = next(iter(job.parts()))
    events = job.workspace(part).events
    events.parent.mkdir(parents=True)
    events.write_text('{"what": "started", "message": "long ago"}\n')
    (task,) = errands_of(missing_of(job, "linear", [part]), [])
    assert task.news() == []
    with events.open("a") as stream:
        stream.write('{"what": "started", "message": "process 7 on node-a"}\n')
        stream.write('{"what": "resumed", "message": "goes on after step 3 of 9"}\n{"what": "to')
    where = f"  {job.run} {part.name}"
    assert task.news() == [
        f"{where}: started, process 7 on node-a",
        f"{where}: goes on after step 3 of 9",
    ]
    assert task.news() == []


def test_a_precision_that_only_the_nodes_can_compute_in_is_no_mistake_here():
    recipe = TransformerRecipe(name="a", backbone="b", precision="bf16")
    assert planned(recipe, elsewhere=True).precision == "auto"
    assert planned(recipe, elsewhere=False) is recipe
