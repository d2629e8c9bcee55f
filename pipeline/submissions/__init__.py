"""An assessed ensemble comes in; files in submissions/ with their provenance, and the ledger
of what was sent, go out.
"""

from typing import TYPE_CHECKING

from pipeline.base.doors import door

if TYPE_CHECKING:
    from pipeline.submissions.ledger import Entry as Entry

__getattr__ = door(__name__, __file__)
