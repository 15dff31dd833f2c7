"""What SQLAlchemy's suite does not know of: every type of a column, names of several sites, what policy hides, errors, purposes and the
URL. Against the federation of tests/clients/matrix/federation.sh; CHANCERY_COORDINATOR is HOST:PORT, CHANCERY_AUTHORITY a file."""

import datetime
import decimal
import os
import socket
import threading
import warnings

import chancery_sqlalchemy as chancery
import pandas
import pytest
import sqlalchemy as sa
from chancery_sqlalchemy import url as urls
from sqlalchemy import exc, orm
from sqlalchemy import types as sqltypes
from sqlalchemy.engine import make_url

COORDINATOR = os.environ["CHANCERY_COORDINATOR"]
AUTHORITY = os.environ["CHANCERY_AUTHORITY"]
UTC = datetime.timezone.utc
SHANGHAI = datetime.timezone(datetime.timedelta(hours=8))
IS_2 = not sa.__version__.startswith("1.")

warnings.filterwarnings("error", category=exc.SAWarning)


def engine(path="", user="analyst", address=COORDINATOR, **options):
    query = "&".join(f"{name}={value}" for name, value in {"tls_ca": AUTHORITY, **options}.items())
    return sa.create_engine(f"chancery://{user}:{user}@{address}{path}?{query}", future=True)


@pytest.fixture(scope="module")
def everywhere():
    made = engine()
    yield made
    made.dispose()


@pytest.fixture(scope="module")
def types(everywhere):
    return sa.Table("types", sa.MetaData(), autoload_with=everywhere, schema="north.lab")


def rows(of, statement, parameters=None):
    with of.connect() as connection:
        return [tuple(row) for row in connection.execute(statement, parameters or {})]


def value(of, statement):
    ((found,),) = rows(of, statement)
    return found


D = decimal.Decimal
DAY = datetime.date
MOMENT = datetime.datetime
TIME = datetime.time

#: Column, type, the least value, the greatest or an odd one; the third row is NULL. None: a type that is not compared for equality.
COLUMNS = [
    ("boolean", sa.BOOLEAN(), False, True),
    ("int8", chancery.TINYINT(), -128, 127),
    ("int16", sa.SMALLINT(), -32768, 32767),
    ("int32", sa.INTEGER(), -(2**31), 2**31 - 1),
    ("int64", sa.BIGINT(), -(2**63), 2**63 - 1),
    ("uint8", chancery.UTINYINT(), 0, 255),
    ("uint16", chancery.USMALLINT(), 0, 2**16 - 1),
    ("uint32", chancery.UINTEGER(), 0, 2**32 - 1),
    ("uint64", chancery.UBIGINT(), 0, 2**64 - 1),
    ("float16", sa.REAL(), -1.5, float("inf")),
    ("float32", sa.REAL(), -0.0, None),
    ("float64", chancery.DOUBLE(), -1.7976931348623157e308, 5e-324),
    ("decimal_9_2", sa.DECIMAL(9, 2), D("-9999999.99"), D("9999999.99")),
    ("decimal_38_10", sa.DECIMAL(38, 10), D("-" + "9" * 28 + "." + "9" * 10), D("0.0000000001")),
    ("decimal_76_20", sa.DECIMAL(76, 20), D("-" + "9" * 56 + "." + "9" * 20), D("1.5")),
    ("utf8", sa.VARCHAR(), "", "naïve 北京 𠮷 \"quoted\" O'Brien\n2"),
    ("large_utf8", sa.VARCHAR(), "", "x" * 40),
    ("dictionary", sa.VARCHAR(), "red", "green"),
    ("binary", sa.VARBINARY(), b"", b"\x00\xff\x10"),
    ("large_binary", sa.VARBINARY(), b"", b"\x00\xff"),
    ("fixed_binary_4", sa.BINARY(), b"\x00\x00\x00\x00", b"\xff\xfe\xfd\xfc"),
    ("date32", sa.DATE(), DAY(1, 1, 1), DAY(9999, 12, 31)),
    ("date64", sa.DATE(), DAY(1970, 1, 1), DAY(2038, 1, 19)),
    ("time32_ms", sa.TIME(), TIME(0), TIME(23, 59, 59, 999000)),
    ("time64_us", sa.TIME(), TIME(0), TIME(23, 59, 59, 999999)),
    ("timestamp_ms", sa.TIMESTAMP(), MOMENT(1, 1, 1), MOMENT(9999, 12, 31, 23, 59, 59, 999000)),
    ("timestamp_us", sa.TIMESTAMP(), MOMENT(1, 1, 1), MOMENT(9999, 12, 31, 23, 59, 59, 999000)),
    ("timestamp_ns", sa.TIMESTAMP(), MOMENT(1700, 1, 1), MOMENT(2262, 4, 11)),
    ("timestamp_us_utc", sa.TIMESTAMP(timezone=True), MOMENT(1900, 1, 1, tzinfo=UTC), MOMENT(2100, 6, 1, tzinfo=UTC)),
    (
        "timestamp_ms_shanghai",
        sa.TIMESTAMP(timezone=True),
        MOMENT(2024, 3, 10, 9, tzinfo=SHANGHAI),
        MOMENT(2024, 7, 1, 8, tzinfo=SHANGHAI),
    ),
    ("duration_us", chancery.INTERVAL(), datetime.timedelta(-1), datetime.timedelta(hours=36, microseconds=1)),
    ("list", sa.ARRAY(sa.INTEGER()), [], [1, None, 3]),
    ("large_list", sa.ARRAY(sa.VARCHAR()), [], ["a", None]),
    ("fixed_list_2", sa.ARRAY(sa.INTEGER()), [1, 2], [None, 4]),
    ("struct", chancery.ROW(("x", sa.BIGINT()), ("y", sa.VARCHAR())), {"x": 1, "y": "a"}, {"x": None, "y": None}),
    ("map", chancery.MAP(sa.VARCHAR(), sa.BIGINT()), [], [("a", 1), ("b", None)]),
]

#: Those whose values are not compared with a parameter of Python's: nested ones, a decimal of more digits than Python's module
#: binds, spans of time, and bytes of a fixed size, whose cast a governed site refuses.
NOT_COMPARED = {"list", "large_list", "fixed_list_2", "struct", "map", "decimal_76_20", "duration_us", "fixed_binary_4"}


def test_the_table_above_has_every_column(types):
    assert ["id"] + [name for name, *_ in COLUMNS] == [column.name for column in types.columns]
    assert types.c.id.nullable is False and types.c.utf8.nullable is True


def written(of):
    """A type with its arguments, `VARCHAR` and `TIMESTAMP(timezone=True)` told apart."""
    if isinstance(of, sqltypes.ARRAY):
        return f"ARRAY({written(of.item_type)})"
    if isinstance(of, chancery.ROW):
        return f"ROW({', '.join(f'{name} {written(of)}' for name, of in of.fields)})"
    if isinstance(of, chancery.MAP):
        return f"MAP({written(of.key_type)}, {written(of.value_type)})"
    return f"{type(of).__name__} {getattr(of, 'precision', '')} {getattr(of, 'scale', '')} {getattr(of, 'timezone', '')}"


@pytest.mark.parametrize("name, of, least, greatest", COLUMNS, ids=[name for name, *_ in COLUMNS])
def test_a_type_as_it_is_reflected_and_read(everywhere, types, name, of, least, greatest):
    column = types.c[name]
    assert written(column.type) == written(of)
    found = [row for (row,) in rows(everywhere, sa.select(column).order_by(types.c.id))]
    if greatest is None:
        assert found[1] != found[1], "not a number"
        found[1] = None
    assert found == [least, greatest, None]
    for one in found[:2]:
        assert one is None or type(one) is type(least) or isinstance(one, datetime.datetime), type(one)


@pytest.mark.parametrize("name, least", [(name, least) for name, _, least, _ in COLUMNS if name not in NOT_COMPARED])
def test_a_type_as_a_parameter_a_literal_and_null(everywhere, types, name, least):
    column = types.c[name]
    assert (1,) in rows(everywhere, sa.select(types.c.id).where(column == least))
    assert rows(everywhere, sa.select(types.c.id).where(column.is_(None))) == [(3,)]
    assert rows(everywhere, sa.select(types.c.id).where(column == sa.bindparam("nothing", None, type_=column.type))) == []
    if "float" not in name:
        literal = sa.bindparam("literal", least, type_=column.type, literal_execute=True)
        assert (1,) in rows(everywhere, sa.select(types.c.id).where(column == literal)), name


@pytest.mark.parametrize(
    "given, of, expected",
    [
        ("17", sa.Integer, 17),
        ("17", sa.SmallInteger, 17),
        ("17", sa.BigInteger, 17),
        ("200", chancery.UTINYINT, 200),
        ("18446744073709551615", chancery.UBIGINT, 2**64 - 1),
        ("1.5", sa.Float, 1.5),
        ("1.5", chancery.DOUBLE, 1.5),
        ("1.25", sa.Numeric(10, 2), D("1.25")),
        ("1.25", sa.Numeric, D("1.25")),
        ("true", sa.Boolean, True),
        ("2024-02-29", sa.Date, DAY(2024, 2, 29)),
        ("23:59:58.5", sa.Time, TIME(23, 59, 58, 500000)),
        ("2024-02-29 12:00:00.000001", sa.DateTime, MOMENT(2024, 2, 29, 12, 0, 0, 1)),
        ("2024-02-29T12:00:00Z", sa.DateTime(timezone=True), MOMENT(2024, 2, 29, 12, tzinfo=UTC)),
        ("ab", sa.LargeBinary, b"ab"),
        ("ab", sa.Text, "ab"),
        ("ab", sa.String(1), "ab"),
        ("ab", sa.Unicode(1), "ab"),
    ],
)
def test_a_cast(everywhere, given, of, expected):
    found = value(everywhere, sa.select(sa.cast(sa.literal(given), of)))
    assert found == expected and type(found) is type(expected)


@pytest.mark.parametrize("text", ["a/b", "100%", "a_b", "back\\slash", "//"])
def test_a_pattern_with_its_own_escape(everywhere, text):
    column = sa.literal(f"x{text}y")
    assert value(everywhere, sa.select(column.contains(text, autoescape=True))) is True
    assert value(everywhere, sa.select(sa.literal("x1y").contains(text, autoescape=True))) is False
    pattern = "X" + text.replace("%", "#%").replace("_", "#_") + "Y"
    assert value(everywhere, sa.select(column.ilike(pattern, escape="#"))) is True


def test_names_of_several_sites(everywhere):
    metadata = sa.MetaData()
    north = sa.Table("people", metadata, autoload_with=everywhere, schema="north.civil")
    south = sa.Table("people", metadata, autoload_with=everywhere, schema="south.civil")
    assert north is not south and [column.name for column in north.columns] == ["id_no", "phone", "region", "born"]
    both = sa.union_all(sa.select(north.c.id_no), sa.select(south.c.id_no)).subquery()
    assert value(everywhere, sa.select(sa.func.count()).select_from(both)) == 250
    pairs = sa.select(north.c.id_no, south.c.id_no).join(south, south.c.id_no == north.c.id_no + 200)
    assert rows(everywhere, pairs.order_by(north.c.id_no).limit(2)) == [(1, 201), (2, 202)]


def test_short_names_are_of_the_url():
    of = engine("/north/civil")
    assert sa.inspect(of).default_schema_name == "civil"
    assert "people" in sa.inspect(of).get_table_names()
    assert sorted(sa.inspect(of).get_schema_names())[:2] == ["civil", "lab"]
    people = sa.Table("people", sa.MetaData(), autoload_with=of)
    assert value(of, sa.select(sa.func.count()).select_from(people)) == 150
    site = engine("/south")
    assert sa.inspect(site).has_table("people", schema="civil") and sa.inspect(site).has_table("people", schema="north.civil")
    with pytest.raises(exc.InvalidRequestError, match="no schema is named"):
        sa.inspect(site).get_table_names()
    with pytest.raises(exc.InvalidRequestError, match="names no site"):
        sa.inspect(engine()).get_table_names(schema="civil")


def test_what_inspection_finds(everywhere):
    found = sa.inspect(everywhere)
    names = found.get_schema_names()
    assert {"north.civil", "north.lab", "south.civil"} <= set(names)
    assert found.get_table_names(schema="north.civil") == ["people"] and found.get_view_names(schema="north.civil") == []
    assert found.get_table_comment("people", schema="north.civil") == {"text": "Residents by the end of last year"}
    assert found.get_table_comment("people", schema="south.civil") == {"text": None}
    comments = {column["name"]: column.get("comment") for column in found.get_columns("people", schema="north.civil")}
    assert comments == {"id_no": None, "phone": "of the household; kind = contact; seen as show_last(2)", "region": None, "born": None}
    assert found.get_pk_constraint("people", schema="north.civil") == {"constrained_columns": ["id_no"], "name": "people_pkey"}
    assert found.get_pk_constraint("people", schema="south.civil") == {"constrained_columns": [], "name": None}
    assert found.get_indexes("people", schema="north.civil") == found.get_foreign_keys("people", schema="north.civil") == []
    metadata = sa.MetaData()
    metadata.reflect(everywhere, schema="south.civil")
    assert list(metadata.tables) == ["south.civil.people"]


def test_what_policy_hides_is_not_there():
    stranger = engine(user="stranger")
    found = sa.inspect(stranger)
    assert not [name for name in found.get_schema_names() if not name.startswith(("system.", "lab"))]
    assert found.get_table_names(schema="north.civil") == []
    told = set()
    for name in ("people", "peopel"):
        assert not found.has_table(name, schema="north.civil")
        with pytest.raises(exc.NoSuchTableError):
            sa.Table(name, sa.MetaData(), autoload_with=stranger, schema="north.civil")
        with pytest.raises(exc.ProgrammingError) as raised:
            rows(stranger, sa.text(f"SELECT * FROM north.civil.{name}"))
        told.add(str(raised.value.orig).replace(name, "NAME"))
    assert len(told) == 1, told


def test_values_are_of_the_treated_column(everywhere):
    people = sa.Table("people", sa.MetaData(), autoload_with=everywhere, schema="north.civil")
    assert rows(everywhere, sa.select(people.c.phone).where(people.c.id_no == 142)) == [("42",)]
    assert rows(everywhere, sa.select(people.c.id_no).where(people.c.phone.like("555%"))) == []


@pytest.mark.parametrize(
    "sql, kind, told",
    [
        ("SELECT * FROM north.civil.persons", exc.ProgrammingError, "NOT_FOUND"),
        ("SELECT nope FROM north.civil.people", exc.ProgrammingError, "NOT_FOUND"),
        ("SELEC 1", exc.ProgrammingError, "SYNTAX"),
        ("SELECT id FROM north.lab.types WHERE list", exc.ProgrammingError, "TYPE"),
        ("SELECT 1 / (id - id) FROM north.lab.types", exc.DataError, "EVAL"),
        ("DELETE FROM north.civil.people", exc.NotSupportedError, "STATEMENT"),
        ("CREATE TABLE north.civil.more (a INTEGER)", exc.NotSupportedError, "STATEMENT"),
    ],
)
def test_an_error_is_of_its_class(everywhere, sql, kind, told):
    with pytest.raises(kind, match=told) as raised:
        rows(everywhere, sa.text(sql))
    assert type(raised.value) is kind and not raised.value.connection_invalidated


def test_nothing_is_written(everywhere):
    people = sa.table("people", sa.column("id_no"), schema="north.civil")
    with everywhere.connect() as connection:
        for statement in (people.insert().values(id_no=1), people.update().values(id_no=1), people.delete()):
            with pytest.raises(exc.NotSupportedError, match="STATEMENT"):
                connection.execute(statement)


def test_commit_and_rollback_mean_nothing(everywhere):
    with everywhere.connect() as connection:
        assert connection.get_isolation_level() == "AUTOCOMMIT"
        assert connection.execute(sa.text("SELECT 1")).scalar() == 1
        connection.commit()
        connection.rollback()
        assert connection.execute(sa.text("SELECT 2")).scalar() == 2
    with pytest.raises(exc.ArgumentError, match="SERIALIZABLE"):
        with everywhere.connect().execution_options(isolation_level="SERIALIZABLE"):
            pass


def test_a_purpose(everywhere):
    assert value(engine(purpose="research"), sa.text("SHOW purpose")) == "research"
    with pytest.raises(exc.ProgrammingError, match="PURPOSE"):
        rows(engine(purpose="sale"), sa.text("SELECT 1"))


def test_signing_in():
    with pytest.raises(exc.OperationalError, match="UNAUTHENTICATED"):
        engine(user="nobody").connect()
    with pytest.raises(exc.OperationalError):
        sa.create_engine(f"chancery://analyst:analyst@{COORDINATOR}").connect()
    with pytest.raises(exc.OperationalError):
        sa.create_engine("chancery://analyst:analyst@127.0.0.1:1?tls=false&connect_timeout=2").connect()


def test_the_orm(everywhere):
    base = orm.declarative_base()

    class Person(base):
        __tablename__ = "people"
        __table_args__ = {"schema": "north.civil"}
        id_no = sa.Column(sa.BigInteger, primary_key=True)
        region = sa.Column(sa.String)
        born = sa.Column(sa.Date)

    with orm.Session(everywhere, future=True) as session:
        person = session.get(Person, 7)
        assert (person.region, person.born) == ("north", DAY(1957, 8, 8))
        counted = session.execute(sa.select(Person.region, sa.func.count()).group_by(Person.region).order_by(Person.region))
        assert [tuple(row) for row in counted] == [("north", 150)]


@pytest.mark.skipif(not IS_2, reason="pandas 3 takes SQLAlchemy 2 and later")
def test_pandas(everywhere):
    people = sa.text("SELECT id_no, phone, born FROM north.civil.people WHERE id_no < :least ORDER BY id_no")
    frame = pandas.read_sql(people, everywhere, params={"least": 3})
    assert frame.values.tolist() == [[1, "01", DAY(1951, 2, 2)], [2, "02", DAY(1952, 3, 3)]]
    whole = pandas.read_sql_table("people", everywhere, schema="south.civil")
    assert whole.shape == (100, 4)


def test_many_rows_are_streamed(everywhere):
    with everywhere.connect() as connection:
        result = connection.execution_options(stream_results=True).execute(sa.text("SELECT n, label FROM north.lab.numbers"))
        assert sum(len(part) for part in result.partitions(10_000)) == 1_000_000


def test_a_statement_is_compiled_once(everywhere):
    people = sa.Table("people", sa.MetaData(), autoload_with=everywhere, schema="north.civil")
    for number in (1, 2, 3):
        rows(everywhere, sa.select(people.c.region).where(people.c.id_no == number))
    compiled = [str(entry) for entry in everywhere._compiled_cache.values()]
    assert len([text for text in compiled if "SELECT north.civil.people.region" in text and "id_no = ?" in text]) == 1


class Proxy:
    """A door before the coordinator's, whose connections can be cut."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.open = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                inner, _ = self.listener.accept()
            except OSError:
                return
            host, port = COORDINATOR.split(":")
            outer = socket.create_connection((host, int(port)))
            self.open += [inner, outer]
            for source, sink in ((inner, outer), (outer, inner)):
                threading.Thread(target=self._pass, args=(source, sink), daemon=True).start()

    def _pass(self, source, sink):
        try:
            while data := source.recv(65536):
                sink.sendall(data)
        except OSError:
            pass
        finally:
            for end in (source, sink):
                end.close()

    def close(self):
        for end in [self.listener, *self.open]:
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


def test_a_server_that_went_away_is_told_from_a_statement_that_failed():
    proxy = Proxy()
    of = engine(address=f"localhost:{proxy.port}")
    connection = of.connect()
    assert connection.execute(sa.text("SELECT 1")).scalar() == 1
    proxy.close()
    with pytest.raises(exc.DBAPIError) as raised:
        connection.execute(sa.text("SELECT 2"))
    assert raised.value.connection_invalidated, raised.value


@pytest.mark.parametrize(
    "text, expected",
    [
        ("chancery://u:p@h", {"uri": "grpc+tls://h:32010"}),
        ("chancery://u:p@h:1/?tls=false", {"uri": "grpc://h:1"}),
        ("chancery://u:p@[::1]:1/a/b?tls=no", {"uri": "grpc://[::1]:1", "catalog": "a", "schema": "b"}),
        ("chancery://h?token=t", {"adbc.flight.sql.authorization_header": "Bearer t"}),
        ("chancery://u:p@h?purpose=x", {"adbc.flight.sql.rpc.call_header.x-chancery-purpose": "x"}),
        ("chancery://u:p@h?compression=lz4", {"adbc.flight.sql.rpc.call_header.x-chancery-compression": "lz4"}),
        ("chancery://u:p@h?tls_verify=false", {"adbc.flight.sql.client_option.tls_skip_verify": "true"}),
        ("chancery://u:p@h?tls_server_name=n", {"adbc.flight.sql.client_option.tls_override_hostname": "n"}),
        ("chancery://u:p@h?timeout=1.5", {"adbc.flight.sql.rpc.timeout_seconds.fetch": "1.5"}),
    ],
)
def test_an_url(text, expected):
    target = urls.read(make_url(text))
    told = {"uri": target.uri, "catalog": target.catalog, "schema": target.schema, **target.database}
    assert expected.items() <= told.items(), told


def test_secrets_from_files(tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("s3cret\nnot this\n")
    assert urls.read(make_url(f"chancery://u@h?password_file={secret}")).database["password"] == "s3cret"
    assert urls.read(make_url(f"chancery://h?token_file={secret}")).database == {
        "adbc.flight.sql.authorization_header": "Bearer s3cret"
    }


@pytest.mark.parametrize(
    "text, told",
    [
        ("chancery://u:p@h?pupose=x", "no option 'pupose'"),
        ("chancery://u:p@h?tls=perhaps", "true or false"),
        ("chancery://u:p@h?tls=true&tls=false", "more than once"),
        ("chancery://u:p@h?tls=false&tls_ca=x", "is for tls=true"),
        ("chancery://u:p@h?tls_ca=/nowhere", "cannot be read"),
        ("chancery://u:p@h/a/b/c", "/catalog/schema"),
        ("chancery://u:p@", "no host"),
        ("chancery://h", "no user and no token"),
        ("chancery://u@h", "no password"),
        ("chancery://u:p@h?token=t", "not both"),
        ("chancery://u:p@h?password_file=/nowhere", "cannot be read"),
        ("chancery://u:p@h?timeout=soon", "number of seconds"),
        ("chancery://u:p@h?compression=gzip", "lz4 or zstd"),
    ],
)
def test_a_mistake_in_an_url_is_named(text, told):
    with pytest.raises(exc.ArgumentError) as raised:
        urls.read(make_url(text))
    assert told in str(raised.value)
