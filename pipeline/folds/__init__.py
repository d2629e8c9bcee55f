"""Checked tables come in; which rows are predicted together, frozen in folds/NAME.csv with its
passport, goes out.
"""

from typing import TYPE_CHECKING

from pipeline.base.doors import door

if TYPE_CHECKING:
    from pipeline.folds.frozen import Folds as Folds

__getattr__ = door(__name__, __file__)
