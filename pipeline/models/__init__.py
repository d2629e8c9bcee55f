"""One fold comes in; predictions of rows that the learner has not seen go out."""

from typing import TYPE_CHECKING

from pipeline.base.doors import door

if TYPE_CHECKING:
    from pipeline.models.learner import Watch as Watch
    from pipeline.models.recipes import Recipe as Recipe

__getattr__ = door(__name__, __file__)
