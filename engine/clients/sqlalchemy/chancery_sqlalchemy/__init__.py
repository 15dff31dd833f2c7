"""Chancery as a dialect of SQLAlchemy 1.4 and 2, over the ADBC driver for Flight SQL.

A statement's path: `dialect` (what SQLAlchemy asks of a database) -> `compiler` (expressions to text) -> `dbapi` (text and values to
Flight SQL, rows and errors back). `url` reads `chancery://...`, `reflection` answers `inspect()`, `types` names every type that a
column can have.

Nothing is written: the engine reads, and a commit or a rollback means nothing to it.
"""

from sqlalchemy.dialects import registry

from .dialect import ChanceryDialect
from .types import DOUBLE, INTERVAL, MAP, ROW, TINYINT, UBIGINT, UINTEGER, USMALLINT, UTINYINT

__version__ = "0.1.0"
__all__ = [
    "DOUBLE",
    "INTERVAL",
    "MAP",
    "ROW",
    "TINYINT",
    "UBIGINT",
    "UINTEGER",
    "USMALLINT",
    "UTINYINT",
    "ChanceryDialect",
]

# For a checkout that is on the path and was not installed.
registry.register("chancery", "chancery_sqlalchemy.dialect", "ChanceryDialect")
registry.register("chancery.adbc", "chancery_sqlalchemy.dialect", "ChanceryDialect")
