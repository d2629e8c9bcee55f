"""Members come in; one predictor with an honest score, its decisions and a forecast go out. numpy,
scipy and scikit-learn only, never torch.
"""

from typing import TYPE_CHECKING

from pipeline.base.doors import door

if TYPE_CHECKING:
    from pipeline.ensemble.honest import Gain as Gain
    from pipeline.ensemble.outcome import Outcome as Outcome

__getattr__ = door(__name__, __file__)
