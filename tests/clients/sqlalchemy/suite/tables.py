"""The tables of the suite's fixtures, provided at a site. What a fixture creates and inserts does not go to the engine, which reads
only: DuckDB takes it, and before the next statement that asks, each table that has changed is written as a Parquet file below the
root of the site's source. Policy is in force there: the site's administrator grants each column that comes.

Environment: CHANCERY_SUITE_ROOT, the directory above the sources' roots; CHANCERY_SUITE_SITE, the site's name;
CHANCERY_SUITE_DOOR, its HOST:PORT; CHANCERY_AUTHORITY, the file of who vouches for it."""

import decimal
import os
import pathlib
import tempfile
import time

import adbc_driver_flightsql.dbapi as flight_sql
import duckdb
import pyarrow as pa
import pyarrow.parquet as parquet
from chancery_sqlalchemy.dialect import ChanceryDialect
from sqlalchemy import event, schema

ROOT = pathlib.Path(os.environ["CHANCERY_SUITE_ROOT"])
SITE = os.environ["CHANCERY_SUITE_SITE"]
DOOR = os.environ["CHANCERY_SUITE_DOOR"]
AUTHORITY = pathlib.Path(os.environ["CHANCERY_AUTHORITY"])
DEFAULT_SCHEMA = "suite"
PLACEHOLDER = "placeholder"

#: How long a table may take to be seen by the coordinator.
SEEN_SECONDS_MAX = 10


class Grants:
    """What the site's administrator has granted: of each schema the tables and columns that were there at the last grant. What
    comes after a grant is hidden under it."""

    def __init__(self):
        self.administrator = None
        self.numbers = {}
        self.covered = {}

    def cover(self, schema_name, columns):
        """Grants the schema anew, unless all of these columns were there at the last grant."""
        covered = self.covered.get(schema_name, {})
        if all(names <= covered.get(table, set()) for table, names in columns.items()):
            return
        number = self.numbers.get(schema_name, 0)
        self._say(
            f"GRANT SELECT ON SCHEMA {schema_name} TO ROLE analyst FOR PURPOSE research WITH (id = '{schema_name}-{number + 1}')"
        )
        self._say(f"REVOKE GRANT '{schema_name}-{number}'")
        self.numbers[schema_name], self.covered[schema_name] = number + 1, columns

    def _say(self, statement):
        if self.administrator is None:
            options = {
                "username": "admin",
                "password": "admin",
                "adbc.flight.sql.client_option.tls_root_certs": AUTHORITY.read_text(encoding="ascii"),
            }
            self.administrator = flight_sql.connect(f"grpc+tls://{DOOR}", db_kwargs=options, autocommit=True)
        with self.administrator.cursor() as cursor:
            cursor.execute(statement)
            cursor.fetchall()


class Tables:
    """What the site has and what it is to have."""

    def __init__(self):
        self.database = duckdb.connect()
        self.database.execute("SET TimeZone = 'UTC'")
        self.database.execute("CREATE SCHEMA test_schema; CREATE SCHEMA suite; SET schema = 'suite'")
        self.known = {}
        self.grants = Grants()
        self.sequences = 0
        self.changed = set()
        #: Off: what writes goes to the engine, to be refused.
        self.provides = True

    def takes(self, cursor, statement, rows, context):
        """Whether the statement is one for the provider, which then has run it."""
        if context is None or not self.provides:
            return False
        if context.isddl:
            statement = context.compiled.statement
            if isinstance(statement, schema.CreateTable) and _key(statement.element) in self.changed:
                self._provide(cursor)  # first without the table of before
            self._define(statement, context.dialect)
            return True
        if context.isinsert or context.isupdate or context.isdelete:
            for row in rows:
                self.database.execute(statement.replace("TIMESTAMP(6)", "TIMESTAMP"), [_plain(value) for value in row])
            self.changed.add(_key(context.compiled.statement.table))
            return True
        self._provide(cursor)
        return False

    def _define(self, statement, dialect):
        if isinstance(statement, schema.CreateTable):
            table = statement.element
            name = _name(table)
            self.database.execute(f"DROP TABLE IF EXISTS {name}")
            columns = [self._column(column, dialect) for column in table.columns]
            self.database.execute(f"CREATE TABLE {name} ({', '.join(columns)})")
            self.known[_key(table)] = table
            self.changed.add(_key(table))
        elif isinstance(statement, schema.DropTable):
            self.database.execute(f"DROP TABLE IF EXISTS {_name(statement.element)}")
            self.known.pop(_key(statement.element), None)
            self.changed.add(_key(statement.element))

    def _column(self, column, dialect):
        of = "INTEGER" if column.type._isnull else dialect.type_compiler_instance.process(column.type)
        words = f"{_quoted(column.name)} {of.replace('TIMESTAMP(6)', 'TIMESTAMP')}"
        if column is column.table._autoincrement_column and column.server_default is None:
            self.sequences += 1
            sequence = f"numbers_{self.sequences}"
            self.database.execute(f"CREATE SEQUENCE {sequence}")
            words += f" DEFAULT nextval('{sequence}')"
        elif column.server_default is not None:
            words += " DEFAULT " + _default(column, dialect)
        return words

    def _provide(self, cursor):
        """Writes what has changed, and waits until the coordinator knows of what is new and of what is gone."""
        changed, self.changed = self.changed, set()
        schemas = {name for name, _ in changed}
        for name in schemas:
            self._placeholder(name).write_text("a\n", encoding="ascii")
        for key in changed:
            path = ROOT / key[0] / f"{key[1]}.parquet"
            table = self.known.get(key)
            if table is None:
                path.unlink(missing_ok=True)
                continue
            rows = self.database.execute(f"SELECT * FROM {_name(table)}").to_arrow_table()
            fields = [pa.field(of.name, field.type, of.nullable) for field, of in zip(rows.schema, table.columns)]
            rows = pa.Table.from_arrays(rows.columns, schema=pa.schema(fields))
            with tempfile.NamedTemporaryFile(dir=ROOT, delete=False) as file:
                parquet.write_table(rows, file)
            os.replace(file.name, path)
        for name in schemas:
            # The placeholder is granted too, as it is there until the next loop: it comes again when the last table goes.
            self.grants.cover(name, self._columns(name))
        wanted = {key: [column.name for column in self.known[key].columns] if key in self.known else [] for key in changed}
        for name in schemas:
            has_tables = any(of == name for of, _ in self.known)
            if has_tables:
                self._placeholder(name).unlink()
            wanted[(name, PLACEHOLDER)] = [] if has_tables else ["a"]
        self._await_seen(cursor, wanted)

    def _columns(self, name):
        """The columns of each table that the schema is to have."""
        return {table: {column.name for column in of.columns} for (its, table), of in self.known.items() if its == name}

    def _placeholder(self, name):
        """The file of a table that is there as long as no other is: a schema without tables is none."""
        return ROOT / name / f"{PLACEHOLDER}.csv"

    def _await_seen(self, cursor, wanted):
        deadline = time.monotonic() + SEEN_SECONDS_MAX
        probe = cursor.adbc.connection.cursor()
        while True:
            probe.execute(
                "SELECT table_schema, table_name, column_name FROM system.information_schema.columns "
                "WHERE table_catalog = ? ORDER BY ordinal_position",
                [SITE],
            )
            seen = {key: [] for key in wanted}
            for of, table, column in probe.fetchall():
                seen.get((of, table), []).append(column)
            if seen == wanted:
                break
            assert time.monotonic() < deadline, f"the coordinator sees {seen}, and not {wanted}"
            time.sleep(0.02)
        probe.close()


def _plain(value):
    """DuckDB takes a decimal's digits for the whole of it, and its exponent for a scale."""
    return decimal.Decimal(f"{value:f}") if isinstance(value, decimal.Decimal) else value


def _default(column, dialect):
    value = column.server_default.arg
    return repr(value) if isinstance(value, str) else str(value.compile(dialect=dialect, compile_kwargs={"literal_binds": True}))


def _quoted(name):
    return '"' + name.replace('"', '""') + '"'


def _key(table):
    return (table.schema or DEFAULT_SCHEMA, table.name)


def _name(table):
    return ".".join(_quoted(part) for part in _key(table))


TABLES = Tables()


@event.listens_for(ChanceryDialect, "do_execute")
def _execute(cursor, statement, parameters, context):
    return TABLES.takes(cursor, statement, [parameters], context) or None


@event.listens_for(ChanceryDialect, "do_execute_no_params")
def _execute_no_params(cursor, statement, context):
    return TABLES.takes(cursor, statement, [()], context) or None


@event.listens_for(ChanceryDialect, "do_executemany")
def _execute_many(cursor, statement, parameters, context):
    return TABLES.takes(cursor, statement, parameters, context) or None
