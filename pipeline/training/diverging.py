"""What to do when a training diverges: stop, or go back and take smaller steps."""

from pipeline.base.errors import DivergedError
from pipeline.base.paths import Workspace
from pipeline.base.seeding import derive_seed
from pipeline.data.table import Table
from pipeline.models.learner import Learner, Watch
from pipeline.training.job import Job, Part

RATE_FACTOR = 0.5
LEAST_RATE = 0.125
"""Of the recipe's learning rate: what diverges even at an eighth is not a matter of the rate."""


def fit_through(job: Job, part: Part, train: Table, workspace: Workspace, watch: Watch) -> Learner:
    """A fresh learner, fitted on *train*.

    With `--on-nan rollback` a training that diverges goes back to the start of its epoch and on
    from there with half the learning rate, down to an eighth. Epochs start at the same step
    whenever a process was killed, so the result does not depend on it. Raises DivergedError.
    """
    rate_scale = 1.0
    while True:
        learner = job.factory.make(derive_seed(part.seed, "learner", part.repeat, part.fold))
        try:
            learner.fit(train, workspace, watch, rate_scale)
            return learner
        except DivergedError as error:
            watch.event("diverged", str(error))
            rate_scale = RATE_FACTOR * learner.facts.get("rate_scale", 0.0)
            if job.rules.on_nan != "rollback" or rate_scale < LEAST_RATE:
                raise
            step = job.checkpoints_of(part).roll_back()
            watch.event(
                "rolled back",
                f"back to step {step}, and from there at {rate_scale:g} times the learning rate",
                step=step,
                rate_scale=rate_scale,
            )
