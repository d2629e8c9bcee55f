"""A recipe and frozen folds come in; a run under oof/, and its weights and logs under runs/,
go out.
"""

from typing import TYPE_CHECKING

from pipeline.base.doors import door

if TYPE_CHECKING:
    from pipeline.training.disk_space import check_space as check_space
    from pipeline.training.ground import jobs_of as jobs_of
    from pipeline.training.jobs import Job as Job
    from pipeline.training.jobs import Part as Part

__getattr__ = door(__name__, __file__)
