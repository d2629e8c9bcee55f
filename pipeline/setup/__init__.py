"""A folder of files comes in; configs/NAME.yaml and what a careful competitor should know go
out.
"""

from typing import TYPE_CHECKING

from pipeline.base.doors import door

if TYPE_CHECKING:
    from pipeline.setup.inspection.duplicates import code as code
    from pipeline.setup.inspection.inspect import Inspection as Inspection

__getattr__ = door(__name__, __file__)
