"""The DB-API of the ADBC driver for Flight SQL, with two things made better: an error is of the class that its code calls for, and
values are bound and read by whole Arrow columns."""

import decimal
import re

import adbc_driver_flightsql.dbapi as flight_sql
import pyarrow as pa
from adbc_driver_manager import AdbcStatusCode

apilevel = "2.0"
threadsafety = 1
paramstyle = "qmark"

Warning = flight_sql.Warning  # noqa: A001
Error = flight_sql.Error
InterfaceError = flight_sql.InterfaceError
DatabaseError = flight_sql.DatabaseError
DataError = flight_sql.DataError
OperationalError = flight_sql.OperationalError
IntegrityError = flight_sql.IntegrityError
InternalError = flight_sql.InternalError
ProgrammingError = flight_sql.ProgrammingError
NotSupportedError = flight_sql.NotSupportedError

Binary = bytes

#: What the engine's codes are to Python; every other failure is the connection's.
CLASSES = {
    **dict.fromkeys(["SYNTAX", "TYPE", "FUNCTION", "NOT_FOUND", "STALE"], ProgrammingError),
    **dict.fromkeys(["PURPOSE", "AGGREGATE", "DISCLOSURE", "REVOKED", "EXPIRED", "POLICY"], ProgrammingError),
    **dict.fromkeys(["UNSUPPORTED", "STATEMENT"], NotSupportedError),
    "EVAL": DataError,
    **dict.fromkeys(["COMPLEXITY", "COST", "CAP", "MEMORY", "DEADLINE", "CANCELLED", "BUSY"], OperationalError),
    **dict.fromkeys(["UNAUTHENTICATED", "SITE_UNAVAILABLE", "AUDIT", "CONFIG"], OperationalError),
    **dict.fromkeys(["SITE_PROTOCOL", "INTERNAL"], InternalError),
}

_CODE = re.compile(r"\b(" + "|".join(CLASSES) + r"): ")


def code_of(error):
    """The engine's code in an error's words; `None` where the words are not the engine's."""
    found = _CODE.search(str(error).split("\n", 1)[0])
    return found.group(1) if found else None


#: What a failure may arrive as: the driver's errors, and Arrow's of a stream that breaks off.
_FAILURES = (Error, pa.ArrowException, OSError)


def _told(error):
    """`error` as of the class that its code calls for."""
    kind = CLASSES.get(code_of(error), type(error) if isinstance(error, Error) else OperationalError)
    if type(error) is kind:
        return error
    if kind is NotSupportedError:
        return kind(str(error))  # its status is its class
    status = getattr(error, "status_code", AdbcStatusCode.UNKNOWN)
    return kind(str(error), status_code=status, sqlstate=getattr(error, "sqlstate", None), details=getattr(error, "details", None))


def connect(uri, database, connection):
    """Signs in. Each statement stands for itself: there is nothing to commit."""
    try:
        inner = flight_sql.connect(uri, db_kwargs=database, conn_kwargs=connection, autocommit=True)
    except Error as error:
        raise _told(error) from error
    return Connection(inner)


class Connection:
    """A connection; `adbc` is the driver's own, with all that ADBC offers."""

    def __init__(self, adbc):
        self.adbc = adbc

    def cursor(self):
        return Cursor(self.adbc.cursor())

    def commit(self):
        """Nothing was written."""

    def rollback(self):
        """Nothing was written."""

    def close(self):
        self.adbc.close()


class Cursor:
    """A cursor over one statement's answer, read batch by batch."""

    arraysize = 1
    rowcount = -1

    def __init__(self, adbc):
        self.adbc = adbc
        self.description = None
        self._batches = None
        self._rows = iter(())

    def execute(self, operation, parameters=None):
        self.description, self._batches, self._rows = None, None, iter(())
        try:
            self.adbc.execute(operation, _bound(parameters) if parameters else None)
            self._batches = self.adbc.fetch_record_batch()
        except _FAILURES as error:
            raise _told(self._refusal(error)) from error
        fields = self._batches.schema
        self.description = [(field.name, field.type, None, None, None, None, field.nullable) for field in fields]
        return self

    def _refusal(self, error):
        """The driver goes on when a statement with parameters is refused as unsupported, and then fails at something else."""
        if "must set IngestTargetTable" not in str(error):
            return error
        try:
            self.adbc.adbc_statement.prepare()
        except Error as refusal:
            return refusal
        return error

    def executemany(self, operation, seq_of_parameters):
        """The last one's rows stay to be fetched."""
        for parameters in seq_of_parameters:
            self.execute(operation, parameters)

    def fetchone(self):
        while True:
            row = next(self._rows, None)
            if row is not None or not self._next_batch():
                return row

    def fetchmany(self, size=None):
        rows = []
        while len(rows) < (self.arraysize if size is None else size):
            row = self.fetchone()
            if row is None:
                break
            rows.append(row)
        return rows

    def fetchall(self):
        rows = list(self._rows)
        while self._next_batch():
            rows.extend(self._rows)
        return rows

    def __iter__(self):
        return iter(self.fetchone, None)

    def _next_batch(self):
        if self._batches is None:
            if self.description is None:
                raise ProgrammingError("no statement was executed", status_code=AdbcStatusCode.INVALID_STATE)
            return False
        try:
            batch = self._batches.read_next_batch()
        except StopIteration:
            self._batches = None
            return False
        except _FAILURES as error:
            raise _told(error) from error
        if batch.num_columns:
            self._rows = zip(*[_values(column) for column in batch.columns])
        else:
            self._rows = iter([()] * batch.num_rows)
        return True

    def setinputsizes(self, sizes):
        """Sizes are the values' own."""

    def setoutputsize(self, size, column=None):
        """Sizes are the values' own."""

    def close(self):
        self._batches, self._rows = None, iter(())
        self.adbc.close()


def _bound(parameters):
    """One row of values, each of the type that Arrow sees in it."""
    columns = [_column(value) for value in parameters]
    return pa.record_batch(columns, names=[str(number) for number in range(len(columns))])


def _column(value):
    if isinstance(value, int) and not isinstance(value, bool) and not -(2**63) <= value < 2**63:
        # As many digits as are exact; more are refused by Arrow.
        return pa.array([decimal.Decimal(value)])
    if isinstance(value, str):
        return pa.array([str(value)], pa.string())
    return pa.array([value])


def _values(column):
    """A column's values as Python has them. Times that Python can hold whole are Python's, whatever their unit."""
    of = column.type
    if pa.types.is_timestamp(of) and of.unit == "ns":
        try:
            column = column.cast(pa.timestamp("us", of.tz))
        except pa.ArrowInvalid:
            pass  # nanoseconds: pandas' own type of time, if there is pandas
    elif pa.types.is_time64(of) and of.unit == "ns":
        column = column.cast(pa.time64("us"), safe=False)
    elif pa.types.is_duration(of) and of.unit == "ns":
        try:
            column = column.cast(pa.duration("us"))
        except pa.ArrowInvalid:
            pass
    return column.to_pylist()
