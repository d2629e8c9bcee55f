"""What the commands found comes in; pages, tables and figures for people go out."""

from typing import TYPE_CHECKING

from pipeline.base.doors import door

if TYPE_CHECKING:
    from pipeline.report.cv import first_lines as first_lines
    from pipeline.report.cv import fold_line as fold_line
    from pipeline.report.cv import print_summary as print_summary
    from pipeline.report.ledger import print_sent as print_sent

__getattr__ = door(__name__, __file__)
