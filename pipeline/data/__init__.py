"""Files come in; checked tables, and texts as token numbers in batches, go out."""

from typing import TYPE_CHECKING

from pipeline.base.doors import door

if TYPE_CHECKING:
    from pipeline.data.join import compare as compare
    from pipeline.data.join import doubled as doubled
    from pipeline.data.join import named as named
    from pipeline.data.join import places_of as places_of
    from pipeline.data.sample import id_column_of as id_column_of
    from pipeline.data.table import Table as Table
    from pipeline.data.tables import Tables as Tables
    from pipeline.data.tables import load as load

__getattr__ = door(__name__, __file__)
