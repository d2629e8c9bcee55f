"""Run folders under oof/ come in; members, their rows joined by id and proved to be of the
same folds, go out.
"""

from typing import TYPE_CHECKING

from pipeline.base.doors import door

if TYPE_CHECKING:
    from pipeline.oof.manifest import origin_of as origin_of
    from pipeline.oof.manifest import read_manifest as read_manifest
    from pipeline.oof.members import Members as Members
    from pipeline.oof.runs import doubts_of as doubts_of

__getattr__ = door(__name__, __file__)
