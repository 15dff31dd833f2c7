"""What SQLAlchemy asks of a database, answered for Chancery."""

from sqlalchemy import exc
from sqlalchemy import types as sqltypes
from sqlalchemy.engine import default

from . import url as urls
from .compiler import Compiler, IdentifierPreparer
from .reflection import Reflection
from .types import COLSPECS, TypeCompiler


class ChanceryDialect(Reflection, default.DefaultDialect):
    """Reads, and writes nothing: there is no transaction to speak of, and no key."""

    name = "chancery"
    driver = "adbc"

    preparer = IdentifierPreparer
    statement_compiler = Compiler
    type_compiler = TypeCompiler
    type_compiler_cls = TypeCompiler
    colspecs = COLSPECS

    default_paramstyle = "qmark"
    max_identifier_length = 255
    supports_statement_cache = True
    supports_native_boolean = True
    supports_native_decimal = True
    supports_unicode_statements = True
    supports_unicode_binds = True
    returns_unicode_strings = getattr(sqltypes.String, "RETURNS_UNICODE", True)
    description_encoding = None
    supports_simple_order_by_label = True
    supports_is_distinct_from = True
    supports_schemas = True
    supports_views = True
    supports_comments = True

    supports_alter = False
    supports_sequences = False
    supports_default_values = False
    supports_default_metavalue = False
    supports_empty_insert = False
    supports_sane_rowcount = False
    supports_sane_multi_rowcount = False
    postfetch_lastrowid = False
    implicit_returning = False

    default_isolation_level = "AUTOCOMMIT"

    _url_catalog = None
    _url_schema = None

    def __init__(self, json_serializer=None, json_deserializer=None, **kw):
        super().__init__(**kw)
        self._json_serializer = json_serializer
        self._json_deserializer = json_deserializer
        if not hasattr(self, "type_compiler_instance"):
            self.type_compiler_instance = self.type_compiler

    @classmethod
    def import_dbapi(cls):
        from . import dbapi

        return dbapi

    @classmethod
    def dbapi(cls):
        """The name of `import_dbapi` before SQLAlchemy 2."""
        return cls.import_dbapi()

    def create_connect_args(self, url):
        target = urls.read(url)
        self._url_catalog, self._url_schema = target.catalog, target.schema
        return (), {"uri": target.uri, "database": target.database, "connection": target.connection}

    def _get_server_version_info(self, connection):
        version = connection.connection.adbc.adbc_get_info().get("vendor_version", "")
        return tuple(int(part) if part.isdigit() else part for part in version.split("."))

    def _get_default_schema_name(self, connection):
        return self._url_schema

    def get_isolation_level_values(self, dbapi_connection):
        return ["AUTOCOMMIT"]

    def get_isolation_level(self, dbapi_connection):
        return "AUTOCOMMIT"

    def set_isolation_level(self, dbapi_connection, level):
        if level != "AUTOCOMMIT":
            raise exc.ArgumentError(f"Chancery has no isolation level {level!r}: each statement reads what is there when it runs")

    def get_default_isolation_level(self, dbapi_connection):
        return "AUTOCOMMIT"

    def do_begin(self, dbapi_connection):
        """Nothing is written, so nothing is begun."""

    def do_commit(self, dbapi_connection):
        """Nothing was written."""

    def do_rollback(self, dbapi_connection):
        """Nothing was written."""

    def do_ping(self, dbapi_connection):
        cursor = dbapi_connection.cursor()
        try:
            cursor.execute("SELECT 1")
            cursor.fetchall()
        finally:
            cursor.close()
        return True

    def is_disconnect(self, e, connection, cursor):
        """The connection, not the statement: a session that has ended, or a server that is gone."""
        if not isinstance(e, self.loaded_dbapi.Error):
            return False
        code = self.loaded_dbapi.code_of(e)
        if code is not None:
            return code == "UNAUTHENTICATED"
        words = str(e)
        return any(sign in words for sign in _GONE)

    @property
    def loaded_dbapi(self):
        return self.import_dbapi()


#: What gRPC says of a connection that is no more.
_GONE = ("(Unavailable", "connection refused", "transport is closing", "client connection is closing", "connection reset", "EOF")
