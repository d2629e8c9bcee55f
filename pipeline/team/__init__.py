"""A team-mate's file from any tool comes in; a verdict with its reasons, and a run like any
other, go out.
"""

from typing import TYPE_CHECKING

from pipeline.base.doors import door

if TYPE_CHECKING:
    from pipeline.team.competition import CompetitionView as CompetitionView

__getattr__ = door(__name__, __file__)
