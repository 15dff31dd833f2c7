"""What there is: schemas, tables, columns, comments, primary and foreign keys, as `information_schema` tells them to whoever asks. What
policy hides is not there. Indexes and other constraints are none: no source tells its own."""

from sqlalchemy import exc
from sqlalchemy.engine import reflection

from . import types
from .compiler import schema_parts

_LISTINGS = "information_schema"


class Reflection:
    """The part of the dialect that lists."""

    def _place(self, connection, schema):
        """The catalog and the schema that a name of a schema is."""
        parts = schema_parts(schema) if schema else []
        if len(parts) == 2:
            return tuple(parts)
        catalog, default = self._defaults(connection)
        if len(parts) == 1 and catalog:
            return catalog, parts[0]
        if not parts and catalog and default:
            return catalog, default
        if not parts:
            raise exc.InvalidRequestError("no schema is named and the URL has none: schema='site.source', or chancery://.../site/source")
        raise exc.InvalidRequestError(f"the schema {schema!r} names no site: 'site.source', or the site in the URL")

    def _defaults(self, connection):
        """The catalog and the schema of short names in this connection, `None` where there is none."""
        return self._url_catalog, self._url_schema

    def _ask(self, connection, sql, *parameters):
        return connection.exec_driver_sql(sql, tuple(parameters)).fetchall()

    @reflection.cache
    def get_schema_names(self, connection, **kw):
        catalog, _ = self._defaults(connection)
        rows = self._ask(
            connection, "SELECT catalog_name, schema_name FROM system.information_schema.schemata ORDER BY catalog_name, schema_name"
        )
        if catalog:
            return [schema for of, schema in rows if of == catalog]
        return [f"{_written(of)}.{_written(schema)}" for of, schema in rows]

    @reflection.cache
    def get_catalog_names(self, connection, **kw):
        """The sites, and `system`."""
        rows = self._ask(connection, "SELECT DISTINCT catalog_name FROM system.information_schema.schemata ORDER BY catalog_name")
        return [catalog for (catalog,) in rows]

    @reflection.cache
    def get_table_names(self, connection, schema=None, **kw):
        return self._tables(connection, schema, "BASE TABLE")

    @reflection.cache
    def get_view_names(self, connection, schema=None, **kw):
        return self._tables(connection, schema, "VIEW")

    def _tables(self, connection, schema, table_type):
        rows = self._ask(
            connection,
            "SELECT table_name FROM system.information_schema.tables "
            "WHERE table_catalog = ? AND table_schema = ? AND table_type = ? ORDER BY table_name",
            *self._place(connection, schema),
            table_type,
        )
        return [name for (name,) in rows]

    def get_temp_table_names(self, connection, **kw):
        return []

    def get_temp_view_names(self, connection, **kw):
        return []

    def get_sequence_names(self, connection, schema=None, **kw):
        return []

    @reflection.cache
    def has_table(self, connection, table_name, schema=None, **kw):
        return self._comment(connection, table_name, schema) is not None

    def has_sequence(self, connection, sequence_name, schema=None, **kw):
        return False

    def has_schema(self, connection, schema_name, **kw):
        return bool(
            self._ask(
                connection,
                "SELECT schema_name FROM system.information_schema.schemata WHERE catalog_name = ? AND schema_name = ?",
                *self._place(connection, schema_name),
            )
        )

    def has_index(self, connection, table_name, index_name, schema=None, **kw):
        return False

    def _comment(self, connection, table_name, schema):
        """The table's comment in a list; `None` when there is no such table to see."""
        rows = self._ask(
            connection,
            "SELECT table_comment FROM system.information_schema.tables "
            "WHERE table_catalog = ? AND table_schema = ? AND table_name = ?",
            *self._place(connection, schema),
            str(table_name),
        )
        return list(rows[0]) if rows else None

    def _known(self, connection, table_name, schema):
        """The table's comment in a list; an error when there is no such table to see."""
        comment = self._comment(connection, table_name, schema)
        if comment is None:
            raise exc.NoSuchTableError(f"{schema}.{table_name}" if schema else table_name)
        return comment

    @reflection.cache
    def get_columns(self, connection, table_name, schema=None, **kw):
        rows = self._ask(
            connection,
            "SELECT column_name, data_type, arrow_type, numeric_precision, numeric_scale, is_nullable, column_comment, tags, form "
            "FROM system.information_schema.columns "
            "WHERE table_catalog = ? AND table_schema = ? AND table_name = ? ORDER BY ordinal_position",
            *self._place(connection, schema),
            str(table_name),
        )
        if not rows:
            self._known(connection, table_name, schema)
        return [_column(*row) for row in rows]

    @reflection.cache
    def get_table_comment(self, connection, table_name, schema=None, **kw):
        return {"text": self._known(connection, table_name, schema)[0]}

    @reflection.cache
    def get_view_definition(self, connection, view_name, schema=None, **kw):
        """A view's text is its owner's."""
        self._known(connection, view_name, schema)
        return None

    @reflection.cache
    def get_pk_constraint(self, connection, table_name, schema=None, **kw):
        rows = self._ask(
            connection,
            "SELECT column_name, constraint_name FROM system.information_schema.key_column_usage "
            "WHERE table_catalog = ? AND table_schema = ? AND table_name = ? AND referenced_table_name IS NULL ORDER BY ordinal_position",
            *self._place(connection, schema),
            str(table_name),
        )
        if not rows:
            self._known(connection, table_name, schema)
        return {"constrained_columns": [column for column, _ in rows], "name": rows[0][1] if rows else None}

    @reflection.cache
    def get_foreign_keys(self, connection, table_name, schema=None, **kw):
        """What they refer to is of the same schema. Nothing is written here, so that it does not matter what becomes of them."""
        rows = self._ask(
            connection,
            "SELECT constraint_name, column_name, referenced_table_name, referenced_column_name "
            "FROM system.information_schema.key_column_usage "
            "WHERE table_catalog = ? AND table_schema = ? AND table_name = ? AND referenced_table_name IS NOT NULL "
            "ORDER BY constraint_name, ordinal_position",
            *self._place(connection, schema),
            str(table_name),
        )
        if not rows:
            self._known(connection, table_name, schema)
        keys = {}
        for name, column, referred_table, referred_column in rows:
            place = {"referred_schema": schema, "referred_table": referred_table}
            key = keys.setdefault(name, {"name": name, "constrained_columns": [], **place, "referred_columns": [], "options": {}})
            key["constrained_columns"].append(column)
            key["referred_columns"].append(referred_column)
        return list(keys.values())

    def _none(self, connection, table_name, schema=None, **kw):
        self._known(connection, table_name, schema)
        return []

    get_indexes = get_unique_constraints = get_check_constraints = reflection.cache(_none)


def _written(name):
    """A part of a dotted name: in quotes where it has a dot or a quote of its own."""
    return '"' + name.replace('"', '""') + '"' if "." in name or '"' in name else name


def _column(name, data_type, arrow_type, precision, scale, is_nullable, comment, tags, form):
    column = {
        "name": name,
        "type": types.of_column(data_type, arrow_type, precision, scale),
        "nullable": is_nullable == "YES",
        "default": None,
    }
    # What its owner says of it, its tags, and the form in which the asker sees it where that is not clear.
    remarks = [part for part in (comment, tags, form and f"seen as {form}") if part]
    return {**column, "comment": "; ".join(remarks)} if remarks else column
