"""Truth and predictions come in; scores, and how far they would move on other rows, go out. numpy
and scipy only.
"""

from typing import TYPE_CHECKING

from pipeline.base.doors import door

if TYPE_CHECKING:
    from pipeline.metrics.bootstrap import Draws as Draws
    from pipeline.metrics.bootstrap import resampled_gains as resampled_gains
    from pipeline.metrics.metric import Metric as Metric
    from pipeline.metrics.metric import MetricError as MetricError
    from pipeline.metrics.metric import get_metric as get_metric
    from pipeline.metrics.metric import metric_of as metric_of
    from pipeline.metrics.moments import Moments as Moments

__getattr__ = door(__name__, __file__)
