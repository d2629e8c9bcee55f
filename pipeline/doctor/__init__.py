"""Everything on the disk comes in; what is damaged or does not belong together, and how to
mend it, goes out. Nothing here changes a file.
"""

from typing import TYPE_CHECKING

from pipeline.base.doors import door

if TYPE_CHECKING:
    from pipeline.doctor.finding import Finding as Finding
    from pipeline.doctor.finding import Section as Section
    from pipeline.doctor.finding import Severity as Severity
    from pipeline.doctor.listing import Scope as Scope

__getattr__ = door(__name__, __file__)
