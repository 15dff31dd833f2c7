"""Every type that a column can have: those that SQLAlchemy lacks, how each is written in a CAST, and which one a listed column is of."""

import datetime
import decimal
import json
import re

from sqlalchemy import types as sqltypes
from sqlalchemy.sql import compiler


class TINYINT(sqltypes.Integer):
    """8 bits."""

    __visit_name__ = "TINYINT"


class UTINYINT(sqltypes.Integer):
    """8 bits, unsigned."""

    __visit_name__ = "UTINYINT"


class USMALLINT(sqltypes.Integer):
    """16 bits, unsigned."""

    __visit_name__ = "USMALLINT"


class UINTEGER(sqltypes.Integer):
    """32 bits, unsigned."""

    __visit_name__ = "UINTEGER"


class UBIGINT(sqltypes.Integer):
    """64 bits, unsigned."""

    __visit_name__ = "UBIGINT"


class DOUBLE(getattr(sqltypes, "Double", sqltypes.Float)):
    """64 bits of a float."""

    __visit_name__ = "DOUBLE"


class INTERVAL(sqltypes.TypeEngine):
    """A span of time."""

    __visit_name__ = "INTERVAL"
    python_type = datetime.timedelta


class ROW(sqltypes.TypeEngine):
    """Named fields, `fields` of (name, type); a dictionary in Python."""

    __visit_name__ = "ROW"
    python_type = dict

    def __init__(self, *fields):
        self.fields = fields


class MAP(sqltypes.TypeEngine):
    """Keys and values; a list of pairs in Python, as keys need not be distinct."""

    __visit_name__ = "MAP"
    python_type = list

    def __init__(self, key_type=None, value_type=None):
        self.key_type = sqltypes.to_instance(key_type)
        self.value_type = sqltypes.to_instance(value_type)


class LargeBinary(sqltypes.LargeBinary):
    """Bytes, whose literal is in hexadecimal."""

    def literal_processor(self, dialect):
        return lambda value: f"X'{bytes(value).hex()}'"


class DateLiteral(sqltypes.Date):
    """A day, whose literal says that it is one."""

    def literal_processor(self, dialect):
        return lambda value: f"DATE '{value.isoformat()}'"


class DateTimeLiteral(sqltypes.DateTime):
    """A moment, whose literal says that it is one."""

    def literal_processor(self, dialect):
        def literal(value):
            text = value.isoformat(" ")
            return f"CAST('{text}' AS TIMESTAMP(6){' WITH TIME ZONE' if value.tzinfo else ''})"

        return literal


class TimeText(sqltypes.Time):
    """A time of day, which goes to the engine as a text: it reads one as a time of the unit that it is compared with, and compares
    no time with one of another unit."""

    def literal_processor(self, dialect):
        return lambda value: f"'{value.isoformat()}'"

    def bind_processor(self, dialect):
        return lambda value: value.isoformat() if isinstance(value, datetime.time) else value

    def result_processor(self, dialect, coltype):
        return lambda value: datetime.time.fromisoformat(value) if isinstance(value, str) else value


def _exact(value):
    """The literal of a number as a decimal of its own digits; as a bare literal it would be a float."""
    number = decimal.Decimal(str(value))
    if not number.is_finite():
        raise ValueError(f"{value} is no decimal")
    _, digits, exponent = number.as_tuple()
    scale = max(-exponent, 0)
    precision = max(len(digits) + max(exponent, 0), scale, 1)
    return f"CAST('{number:f}' AS DECIMAL({precision}, {scale}))"


class NumericLiteral(sqltypes.Numeric):
    """An exact number, though the engine may have computed it as another one."""

    def literal_processor(self, dialect):
        return _exact

    def result_processor(self, dialect, coltype):
        if self.asdecimal:
            return lambda value: decimal.Decimal(str(value)) if isinstance(value, (float, int)) else value
        return lambda value: None if value is None else float(value)


class FloatLiteral(sqltypes.Float):
    """An approximate number, `Infinity` and `NaN` among them."""

    def literal_processor(self, dialect):
        def literal(value):
            text = repr(float(value))
            return f"CAST('{text}' AS DOUBLE)" if text.lstrip("-") in ("inf", "nan") else text

        return literal


COLSPECS = {
    sqltypes.LargeBinary: LargeBinary,
    sqltypes.Date: DateLiteral,
    sqltypes.DateTime: DateTimeLiteral,
    sqltypes.Time: TimeText,
    sqltypes.Numeric: NumericLiteral,
    sqltypes.Float: FloatLiteral,
}


class TypeCompiler(compiler.GenericTypeCompiler):
    """Types as a CAST names them."""

    def visit_TINYINT(self, type_, **kw):
        return "TINYINT"

    def visit_UTINYINT(self, type_, **kw):
        return "TINYINT UNSIGNED"

    def visit_USMALLINT(self, type_, **kw):
        return "SMALLINT UNSIGNED"

    def visit_UINTEGER(self, type_, **kw):
        return "INTEGER UNSIGNED"

    def visit_UBIGINT(self, type_, **kw):
        return "BIGINT UNSIGNED"

    def visit_FLOAT(self, type_, **kw):
        return "REAL" if type_.precision and type_.precision <= 24 else "DOUBLE"

    def visit_DOUBLE(self, type_, **kw):
        return "DOUBLE"

    def visit_DOUBLE_PRECISION(self, type_, **kw):
        return "DOUBLE"

    def visit_NUMERIC(self, type_, **kw):
        if type_.precision is None:
            return "DECIMAL(38, 10)"
        return f"DECIMAL({type_.precision}, {type_.scale or 0})"

    def visit_DECIMAL(self, type_, **kw):
        return self.visit_NUMERIC(type_, **kw)

    def visit_TEXT(self, type_, **kw):
        return "VARCHAR"

    def visit_VARCHAR(self, type_, **kw):
        return "VARCHAR"

    # What follows are texts of the same kind; a length is not enforced by the engine, and so not promised.
    visit_CHAR = visit_NCHAR = visit_NVARCHAR = visit_CLOB = visit_JSON = visit_UUID = visit_VARCHAR

    def visit_uuid(self, type_, **kw):
        return "VARCHAR"

    def visit_DATETIME(self, type_, **kw):
        return self.visit_TIMESTAMP(type_, **kw)

    def visit_TIMESTAMP(self, type_, **kw):
        # Microseconds, as Python has them: without a size they would be nanoseconds, from 1677 to 2262.
        return "TIMESTAMP(6) WITH TIME ZONE" if type_.timezone else "TIMESTAMP(6)"

    def visit_TIME(self, type_, **kw):
        return "TIME"

    def visit_BINARY(self, type_, **kw):
        return "BYTEA"

    visit_VARBINARY = visit_BLOB = visit_BINARY

    def visit_INTERVAL(self, type_, **kw):
        return "INTERVAL"

    def visit_ARRAY(self, type_, **kw):
        return self.process(type_.item_type, **kw) + "[]" * (type_.dimensions or 1)

    def visit_ROW(self, type_, **kw):
        fields = ", ".join(f"{self.dialect.identifier_preparer.quote(name)} {self.process(of)}" for name, of in type_.fields)
        return f"STRUCT<{fields}>"

    def visit_MAP(self, type_, **kw):
        return f"MAP({self.process(type_.key_type)}, {self.process(type_.value_type)})"


_PLAIN = {
    "NULL": sqltypes.NullType,
    "BOOLEAN": sqltypes.BOOLEAN,
    "TINYINT": TINYINT,
    "SMALLINT": sqltypes.SMALLINT,
    "INTEGER": sqltypes.INTEGER,
    "BIGINT": sqltypes.BIGINT,
    "TINYINT UNSIGNED": UTINYINT,
    "SMALLINT UNSIGNED": USMALLINT,
    "INTEGER UNSIGNED": UINTEGER,
    "BIGINT UNSIGNED": UBIGINT,
    "REAL": sqltypes.REAL,
    "DOUBLE": DOUBLE,
    "VARCHAR": sqltypes.VARCHAR,
    "VARBINARY": sqltypes.VARBINARY,
    "BINARY": sqltypes.BINARY,
    "DATE": sqltypes.DATE,
    "TIME": sqltypes.TIME,
    "TIMESTAMP": sqltypes.TIMESTAMP,
    "INTERVAL": INTERVAL,
}


def of_column(data_type, arrow_type, precision, scale):
    """The type of a column as `information_schema.columns` tells it."""
    if data_type == "DECIMAL":
        return sqltypes.DECIMAL(precision, scale)
    if data_type == "TIMESTAMP WITH TIME ZONE":
        return sqltypes.TIMESTAMP(timezone=True)
    if data_type in ("ARRAY", "ROW", "MAP"):
        return _ArrowText(arrow_type).read()
    return _PLAIN.get(data_type, sqltypes.NullType)()


_ARROW = {
    "Boolean": sqltypes.BOOLEAN,
    "Int8": TINYINT,
    "Int16": sqltypes.SMALLINT,
    "Int32": sqltypes.INTEGER,
    "Int64": sqltypes.BIGINT,
    "UInt8": UTINYINT,
    "UInt16": USMALLINT,
    "UInt32": UINTEGER,
    "UInt64": UBIGINT,
    "Float16": sqltypes.REAL,
    "Float32": sqltypes.REAL,
    "Float64": DOUBLE,
    "Date32": sqltypes.DATE,
    "Date64": sqltypes.DATE,
    "Utf8": sqltypes.VARCHAR,
    "LargeUtf8": sqltypes.VARCHAR,
    "Utf8View": sqltypes.VARCHAR,
    "Binary": sqltypes.VARBINARY,
    "LargeBinary": sqltypes.VARBINARY,
    "BinaryView": sqltypes.VARBINARY,
    "FixedSizeBinary": sqltypes.BINARY,
    "Time32": sqltypes.TIME,
    "Time64": sqltypes.TIME,
    "Duration": INTERVAL,
    "Interval": INTERVAL,
}

_LISTS = ("List", "LargeList", "ListView", "LargeListView", "FixedSizeList")
_STRING = r'"(?:[^"\\]|\\.)*"'
_TOKEN = re.compile(r"\s*(" + _STRING + r"|'(?:[^'\\]|\\.)*'|[\w-]+|.)", re.DOTALL)


class _ArrowText:
    """A type as arrow-rs writes it: `List(Int32)`, `Struct("x": Int64, "y": non-null Utf8)`, `Map("entries": ..., unsorted)`.
    What is not known is `NullType`, as SQLAlchemy has it: values pass as they are."""

    def __init__(self, text):
        self.tokens = _TOKEN.findall(text)
        self.place = 0

    def read(self):
        of = self._type()
        return sqltypes.NullType() if of is None else of

    def _next(self):
        token = self.tokens[self.place] if self.place < len(self.tokens) else ""
        self.place += 1
        return token

    def _peek(self):
        return self.tokens[self.place] if self.place < len(self.tokens) else ""

    def _rest(self):
        """Goes past the closing parenthesis of the type that is being read, and hands out what stood before it."""
        depth, passed = 0, []
        while self._peek():
            token = self._next()
            if token in "({":
                depth += 1
            elif token in ")}":
                if depth == 0:
                    break
                depth -= 1
            passed.append(token)
        return passed

    def _type(self):
        name = self._next()
        if name == "non-null":
            name = self._next()
        opened = self._peek() == "("
        if opened:
            self._next()
        if name in _LISTS:
            return self._list(name)
        if name == "Struct":
            return ROW(*self._fields())
        if name == "Map":
            return self._map()
        if name == "Dictionary":
            self._type()
            self._next()
            values = self._type()
            self._rest()
            return values
        arguments = self._rest() if opened else []
        if name.startswith("Decimal"):
            return sqltypes.DECIMAL(int(arguments[0]), int(arguments[2]))
        if name == "Timestamp":
            return sqltypes.TIMESTAMP(timezone="," in arguments)
        return _ARROW.get(name, sqltypes.NullType)()

    def _list(self, name):
        if name == "FixedSizeList":
            self._next(), self._next()  # its size, and an x
        item = self._type()
        self._rest()
        if isinstance(item, sqltypes.ARRAY):
            return sqltypes.ARRAY(item.item_type, dimensions=(item.dimensions or 1) + 1)
        return sqltypes.ARRAY(item, dimensions=1)

    def _fields(self):
        fields = []
        while self._peek() not in (")", ""):
            name = json.loads(self._next())
            self._next()  # the colon
            fields.append((name, self._type()))
            if self._peek() == ",":
                self._next()
                if self._peek() == "metadata":
                    self._next(), self._next(), self._next()
                    self._rest()
        self._next()
        return fields

    def _map(self):
        self._next(), self._next()  # the entries' name, and a colon
        entries = self._type()
        self._rest()
        of = [of for _, of in entries.fields] if isinstance(entries, ROW) else []
        return MAP(*of[:2])
