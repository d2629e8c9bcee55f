"""What every room stands on: command lines, YAML and signals come in; a frozen config, paths,
errors and files that are whole or not there go out.
"""

from typing import TYPE_CHECKING

from pipeline.base.doors import door

if TYPE_CHECKING:
    from pipeline.base.config import Competition as Competition
    from pipeline.base.errors import ArtifactError as ArtifactError
    from pipeline.base.errors import DataError as DataError
    from pipeline.base.errors import UsageError as UsageError
    from pipeline.base.errors import raise_if as raise_if
    from pipeline.base.files import read_json as read_json
    from pipeline.base.paths import Paths as Paths
    from pipeline.base.seeding import generator as generator

__getattr__ = door(__name__, __file__)
