"""The ADBC driver, and pandas and polars over it, against a running federation.

usage: adbc_flightsql.py HOST:PORT AUTHORITY.crt OUT

OUT.adbc, OUT.pandas, OUT.polars: what each type is shown as; beside them parameters.adbc: what of each type is bound
"""

import datetime
import decimal
import pathlib
import re
import sys
import threading
import time
import warnings

import adbc_driver_flightsql.dbapi as flight_sql
import pandas
import polars
import pyarrow as pa
import pyarrow.compute as pc
import tables
from told import MADE_TYPES, TYPES, check, equal, finish, refusal, write_parameters, write_types

ADDRESS, AUTHORITY, OUT = sys.argv[1:]
with open(AUTHORITY, encoding="ascii") as file:
    ROOTS = file.read()
REMARKS = "of the household; kind = contact; seen as show_last(2)"
CALL_HEADER = "adbc.flight.sql.rpc.call_header."


def connect(user="analyst", password=None, autocommit=True, conn=None, **more):
    options = {"username": user, "password": password or user, "adbc.flight.sql.client_option.tls_root_certs": ROOTS}
    options |= more
    uri = f"grpc+tls://{ADDRESS}"
    return flight_sql.connect(uri, db_kwargs=options, conn_kwargs=conn or {}, autocommit=autocommit)


CONNECTION = connect()


def ask(sql, parameters=None, connection=CONNECTION):
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return cursor.fetchall()


def endless(marker):
    """A statement that does not end by itself, found by its marker among those that run."""
    pairs = "north.lab.numbers a JOIN north.lab.numbers b ON a.n % 7 = b.n % 7 AND a.label <> b.label"
    return f"SELECT count(*) AS {marker} FROM {pairs}"


def await_running(marker, count, seconds):
    """Waits until as many statements with this marker run, as another connection of the same user sees them."""
    like = f"statement LIKE '%{marker}%' AND statement NOT LIKE '%system.queries%'"
    deadline = time.monotonic() + seconds
    with connect() as watching:
        while ask(f"SELECT count(*) FROM system.queries.running WHERE {like}", connection=watching) != [(count,)]:
            assert time.monotonic() < deadline, f"after {seconds} s there run not {count} of {marker}"
            time.sleep(0.25)


def objects(**how):
    return CONNECTION.adbc_get_objects(**how).read_all().to_pylist()


def shown(sql):
    """What the statement declares, prepared and not, is what it sends."""
    with CONNECTION.cursor() as cursor:
        declared = cursor.adbc_execute_schema(sql)
        cursor.execute(sql)
        table = cursor.fetch_arrow_table()
    equal(declared, table.schema)
    equal(3, table.num_rows)
    return [(field.name, field.type, table[field.name].to_pylist()) for field in table.schema]


@check("adbc", "every type")
def _():
    write_types(f"{OUT}.adbc", shown(TYPES), shown(MADE_TYPES))


@check("adbc", "GetObjects at all depths")
def _():
    equal(["north", "south", "system"], sorted(row["catalog_name"] for row in objects(depth="catalogs")))
    north = objects(depth="db_schemas", catalog_filter="north")
    equal(["civil", "lab"], sorted(schema["db_schema_name"] for schema in north[0]["catalog_db_schemas"]))
    found = [
        (catalog["catalog_name"], table["table_name"], table["table_type"])
        for catalog in objects(depth="tables", table_name_filter="peo%")
        for schema in catalog["catalog_db_schemas"]
        for table in schema["db_schema_tables"]
    ]
    equal([("north", "people", "BASE TABLE"), ("south", "people", "BASE TABLE")], sorted(found))
    whole = objects(depth="all", catalog_filter="north", db_schema_filter="civil", table_name_filter="people")
    (table,) = whole[0]["catalog_db_schemas"][0]["db_schema_tables"]
    equal(["id_no", "phone", "region", "born"], [column["column_name"] for column in table["table_columns"]])
    equal(["BASE TABLE", "VIEW"], sorted(CONNECTION.adbc_get_table_types()))
    schema = CONNECTION.adbc_get_table_schema("people", catalog_filter="south", db_schema_filter="civil")
    equal([pa.int64(), pa.string(), pa.string(), pa.date32()], schema.types)
    masked = CONNECTION.adbc_get_table_schema("people", catalog_filter="north", db_schema_filter="civil").field("phone")
    equal(REMARKS.encode(), masked.metadata[b"ARROW:FLIGHT:SQL:REMARKS"])


@check("adbc", "what the server says of itself")
def _():
    info = CONNECTION.adbc_get_info()
    equal("Chancery", info["vendor_name"])


# What made_types.sql makes, by the values of its second row.
MADE = {
    "utf8_view": pa.array(["naïve 北京 𠮷 \"quoted\" O'Brien\n2"], pa.string_view()),
    "binary_view": pa.array([b"\x00\xff\x10"], pa.binary_view()),
    "run_end_encoded": pc.run_end_encode(pa.array(["green"])),
    "dictionary_int64": pa.array([2**63 - 1], pa.dictionary(pa.uint8(), pa.int64())),
    "list_view": pa.array([[1, None, 3]], pa.list_view(pa.int32())),
    "large_list_view": pa.array([[1, None, 3]], pa.large_list_view(pa.int32())),
    "list_of_views": pa.array([["a", None]], pa.list_(pa.string_view())),
    "decimal32_9_2": pa.array([decimal.Decimal("9999999.99")], pa.decimal32(9, 2)),
    "decimal64_18_2": pa.array([decimal.Decimal("9999999.99")], pa.decimal64(18, 2)),
    "timestamp_s": pa.array([datetime.datetime(9999, 12, 31)], pa.timestamp("s")),
    "time32_s": pa.array([datetime.time(23, 59, 59)], pa.time32("s")),
    "time64_ns": pa.array([datetime.time(23, 59, 59, 999999)], pa.time64("ns")),
    "duration_s": pa.array([86399], pa.duration("s")),
    "duration_ms": pa.array([86399999], pa.duration("ms")),
    "duration_ns": pa.array([86399999999000], pa.duration("ns")),
    # Python makes no interval of months, and none of days and a time.
    "interval_month_day_nano": pa.array([pa.MonthDayNano([1, 2, 3000004000])], pa.month_day_nano_interval()),
}
# Layouts within layouts, which no column has. (Of a list of runs pyarrow makes a NULL that it refuses itself.)
WITHIN = {
    "a list of runs": pa.ListArray.from_arrays([0, 3], pc.run_end_encode(pa.array(["a", "a", None]))),
    "a list by dictionary": pa.array([["a", "a", None]], pa.list_(pa.dictionary(pa.int8(), pa.string()))),
    "two floats in runs": pa.FixedSizeListArray.from_arrays(pc.run_end_encode(pa.array([1.5, 1.5])), 2),
    "a view of views": pa.array([[[1], None, []]], pa.list_view(pa.large_list_view(pa.int32()))),
    "a struct of views": pa.array(
        [{"a": [1, None], "b": "x"}], pa.struct([("a", pa.list_view(pa.int32())), ("b", pa.string_view())])
    ),
    "a map to views": pa.array([[("a", [1]), ("b", None)]], pa.map_(pa.string(), pa.list_view(pa.int32()))),
    "a run of views": pa.RunEndEncodedArray.from_arrays([1], pa.array([[1, None]], pa.list_view(pa.int32()))),
    "a list of a dictionary": pa.DictionaryArray.from_arrays([1], pa.array([[], ["a", None]])),
}
# The types of which a value and a NULL come back, and find the rows that have them; what of the others does is in the
# documentation, and compared with it.
BOUND = {
    *("boolean", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "float64", "decimal_9_2"),
    *("decimal_38_10", "utf8", "large_utf8", "dictionary", "binary", "large_binary", "fixed_binary_4", "date32", "date64"),
    *("time32_ms", "time64_us", "timestamp_ms", "timestamp_us", "timestamp_ns", "timestamp_us_utc", "timestamp_ms_shanghai"),
    *("utf8_view", "binary_view", "run_end_encoded", "list_view", "large_list_view", "timestamp_s", "time32_s", "time64_ns"),
}


def outcome(sql, expected, *parameters):
    """`yes` where the statement answers what it should with these parameters, or what it does instead."""
    try:
        row = pa.record_batch(list(parameters), [str(number) for number in range(len(parameters))])
        with CONNECTION.cursor() as cursor:
            cursor.execute(sql, row)
            found = [list(column.values()) for column in cursor.fetch_arrow_table().to_pylist()]
    except Exception as error:  # what is wrong with one type must not hide the others
        return re.sub(r"^.*\[FlightSQL\] | \(\w+; \w+\).*$", "", str(error).split("\n")[0])
    # By what they are written as: not a number equals itself then.
    return "yes" if repr(found) == repr(expected) else f"is answered {found}"


def bound(source, name, value):
    """A value of a type and a NULL of it: as they come back, and as they find the rows that have them."""
    null, wanted = pa.nulls(1, value.type), value.to_pylist()[0]
    finding = f'SELECT id FROM {source} WHERE "{name}" = ?'
    outcomes = {
        "as it is": outcome("SELECT ? AS value, ? AS nothing", [[wanted, None]], value, null),
        "compared": outcome(finding, [[2]], value),
        "NULL": outcome(finding, [], null),
    }
    return "; ".join(f"{what}: {told}" for what, told in outcomes.items() if told != "yes") or "yes"


@check("adbc", "parameters of every type")
def _():
    held = {name: pa.array([odd], of) for name, of, _, odd in tables.columns()}
    outcomes = {name: bound("north.lab.types", name, value) for name, value in held.items()}
    outcomes |= {name: bound(f"({MADE_TYPES}) AS t", name, value) for name, value in MADE.items()}
    write_parameters(pathlib.Path(OUT).with_name("parameters.adbc"), outcomes)
    equal({}, {name: told for name, told in outcomes.items() if name in BOUND and told != "yes"})


@check("adbc", "parameters of layouts within layouts")
def _():
    outcomes = {name: outcome("SELECT ? AS value", [value.to_pylist()], value) for name, value in WITHIN.items()}
    for name in ("a list of runs", "a list by dictionary"):
        outcomes[name + ", compared"] = outcome("SELECT 1 AS one WHERE make_array('a', 'a', NULL) = ?", [[1]], WITHIN[name])
    equal({}, {name: told for name, told in outcomes.items() if told != "yes"})


@check("adbc", "parameters as Python has them")
def _():
    utc = datetime.timezone.utc
    for column, value in [
        ("boolean", True),
        ("int8", 127),
        ("int64", 2**63 - 1),
        ("uint32", 2**32 - 1),
        ("decimal_9_2", decimal.Decimal("9999999.99")),
        ("decimal_38_10", decimal.Decimal("0.0000000001")),
        ("large_utf8", "x" * 40),
        ("dictionary", "green"),
        ("binary", b"\x00\xff\x10"),
        ("fixed_binary_4", b"\xff\xfe\xfd\xfc"),
        ("date32", datetime.date(9999, 12, 31)),
        ("time32_ms", datetime.time(23, 59, 59, 999000)),
        ("time64_us", datetime.time(23, 59, 59, 999999)),
        ("timestamp_us", datetime.datetime(9999, 12, 31, 23, 59, 59, 999000)),
        ("timestamp_us_utc", datetime.datetime(2100, 6, 1, tzinfo=utc)),
        ("date32", "9999-12-31"),
        ("int32", "2147483647"),
    ]:
        found = ask(f"SELECT id FROM north.lab.types WHERE {column} = ?", (value,))
        assert (2,) in found, f"{column} = {value!r} finds {found}"
        equal([], ask(f"SELECT id FROM north.lab.types WHERE {column} = $1", (None,)))
    equal([(1,)], ask("SELECT id FROM north.lab.types WHERE float64 < ? AND int16 < ?", (0.0, 0)))
    equal([(3,)], ask("SELECT id FROM north.lab.types ORDER BY id LIMIT ? OFFSET ?", (1, 2)))
    equal([("x", None)], ask("SELECT ?, ?", ("x", None)))
    told = refusal(lambda: ask("SELECT id FROM north.lab.types WHERE date32 = ?", ("no day",)))
    assert "TYPE: the value of parameter 1" in told, told
    told = refusal(lambda: ask("SELECT id FROM north.lab.types WHERE id = ? OR id = $1", (1,)))
    assert "SYNTAX: parameters are written" in told, told


@check("adbc", "partitions, and the schema without the rows")
def _():
    with CONNECTION.cursor() as cursor:
        partitions, schema = cursor.adbc_execute_partitions("SELECT n FROM north.lab.numbers WHERE n < 10")
        equal((1, ["n"]), (len(partitions), schema.names))
        cursor.adbc_read_partition(partitions[0])
        equal(10, cursor.fetch_arrow_table().num_rows)
        equal(["n", "label"], cursor.adbc_execute_schema("SELECT * FROM north.lab.numbers").names)


@check("adbc", "PollFlightInfo")
def _():
    with CONNECTION.cursor() as cursor:
        cursor.adbc_statement.set_options(**{"adbc.statement.exec.incremental": "true"})
        partitions, _ = cursor.adbc_execute_partitions("SELECT 1 AS one")
        equal(1, len(partitions))


@check("adbc", "a million rows")
def _():
    with CONNECTION.cursor() as cursor:
        cursor.execute("SELECT n, label FROM north.lab.numbers")
        count = sum(batch.num_rows for batch in cursor.fetch_record_batch())
    equal(1_000_000, count)


@check("adbc", "compressed as asked for")
def _():
    for codec in ("lz4", "zstd"):
        with connect(**{CALL_HEADER + "x-chancery-compression": codec}) as connection:
            equal([(499999500000,)], ask("SELECT sum(n) FROM north.lab.numbers", connection=connection))
            equal([(1_000_000,)], ask("SELECT count(label) FROM north.lab.numbers", connection=connection))


@check("adbc", "cancelling")
def _():
    wrong, returned = [], threading.Event()

    def cancel(cursor):
        try:
            await_running("cancelled_by_adbc", 1, 30)
            # It runs before the driver has the stream that cancelling ends.
            while not returned.wait(1):
                cursor.adbc_cancel()
        except Exception as error:  # of another thread
            wrong.append(error)

    with CONNECTION.cursor() as cursor:
        canceller = threading.Thread(target=cancel, args=(cursor,))
        canceller.start()
        began = time.monotonic()
        refusal(lambda: (cursor.execute(endless("cancelled_by_adbc")), cursor.fetchall()))
        returned.set()
        canceller.join()
    equal([], wrong)
    assert time.monotonic() - began < 120, "it went on"
    await_running("cancelled_by_adbc", 0, 60)
    equal([(1,)], ask("SELECT 1"))


@check("adbc", "a deadline")
def _():
    with connect(**{"adbc.flight.sql.rpc.timeout_seconds.fetch": "2"}) as connection:
        began = time.monotonic()
        refusal(lambda: ask(endless("late_by_adbc"), connection=connection))
        assert time.monotonic() - began < 20, "it went on"
    await_running("late_by_adbc", 0, 60)


@check("adbc", "errors")
def _():
    for sql, told in [
        ("SELECT * FROM north.civil.persons", "NOT_FOUND: there is no table `north.civil.persons`"),
        ("SELEC 1", "SYNTAX"),
        ("DELETE FROM north.civil.people", "STATEMENT: DELETE"),
        ("SELECT 1 / (id - id) FROM north.lab.types", "EVAL"),
    ]:
        words = refusal(lambda sql=sql: ask(sql))
        assert told in words, words
    with CONNECTION.cursor() as cursor:
        words = refusal(lambda: cursor.adbc_ingest("t", pa.table({"a": [1]})))
        assert "UNSUPPORTED" in words, words
    assert "UNAUTHENTICATED" in refusal(lambda: connect(password="wrong"))


@check("adbc", "a transaction that reads")
def _():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with connect(autocommit=False) as connection:
            equal([(1,)], ask("SELECT 1", connection=connection))
            connection.commit()
            equal([(2,)], ask("SELECT 2", connection=connection))
            connection.rollback()


@check("adbc", "catalog, schema and session options")
def _():
    with connect(conn={"adbc.connection.catalog": "south", "adbc.connection.db_schema": "civil"}) as connection:
        equal([(100,)], ask("SELECT count(*) FROM people", connection=connection))
        equal([("north", "lab")], ask("USE north.lab", connection=connection))
        equal([(3,)], ask("SELECT count(*) FROM types", connection=connection))
        equal("north", connection.adbc_current_catalog)
        assert "NOT_FOUND" in refusal(lambda: ask("USE nowhere", connection=connection))
    with connect(conn={"adbc.flight.sql.session.option.purpose": "research"}) as connection:
        equal([("research",)], ask("SHOW purpose", connection=connection))
    refusal(lambda: ask("SELECT 1", connection=connect(conn={"adbc.flight.sql.session.option.purpose": "sale"})))


@check("adbc", "a purpose in a header")
def _():
    with connect(**{CALL_HEADER + "purpose": "research"}) as connection:
        equal([("research",)], ask("SHOW purpose", connection=connection))
    told = refusal(lambda: ask("SELECT 1", connection=connect(**{CALL_HEADER + "x-chancery-purpose": "sale"})))
    assert "PURPOSE" in told, told


@check("adbc", "SHOW, DESCRIBE and information_schema")
def _():
    equal([("north",), ("south",), ("system",)], ask("SHOW CATALOGS"))
    equal([("north", "civil"), ("north", "lab")], ask("SHOW SCHEMAS FROM north"))
    equal([("types",)], [row[2:3] for row in ask("SHOW TABLES FROM north.lab LIKE 't%'")])
    equal("Residents by the end of last year", ask("SHOW TABLES FROM north.civil")[0][4])
    phone = ("phone", "VARCHAR", "YES", "show_last(2)")
    assert phone in ask("DESCRIBE north.civil.people") and phone in ask("SHOW COLUMNS FROM north.civil.people")
    assert "NOT_FOUND" in refusal(lambda: ask("DESCRIBE north.civil.persons"))
    equal([("register",)], ask("SELECT substr(tags, 8) FROM north.information_schema.tables WHERE tags LIKE 'kind = %'"))
    noted = "SELECT column_name, column_comment, tags, form FROM north.information_schema.columns WHERE column_comment IS NOT NULL"
    equal([("phone", "of the household", "kind = contact", "show_last(2)")], ask(noted))
    precise = "SELECT data_type, numeric_precision, numeric_scale FROM north.information_schema.columns WHERE column_name = ?"
    equal([("DECIMAL", 38, 10)], ask(precise, ("decimal_38_10",)))
    usage = "SELECT table_name, column_name, ordinal_position, constraint_name FROM north.information_schema.key_column_usage"
    equal([("people", "id_no", 1, "people_pkey")], ask(usage))
    equal([("people_pkey", "PRIMARY KEY")], ask("SELECT constraint_name, constraint_type FROM north.information_schema.table_constraints"))


@check("adbc", "a stranger sees nothing")
def _():
    with connect("stranger") as connection:
        found = connection.adbc_get_objects(depth="tables").read_all().to_pylist()
        equal(["system"], [row["catalog_name"] for row in found])
        equal([("system",)], ask("SHOW CATALOGS", connection=connection))
        told = refusal(lambda: ask("SELECT * FROM north.civil.people", connection=connection))
        missing = refusal(lambda: ask("SELECT * FROM north.civil.peopel", connection=connection))
        equal(told.replace("people", "T").split("\n")[0], missing.replace("peopel", "T").split("\n")[0])
        assert "NOT_FOUND" in refusal(lambda: ask("USE north", connection=connection))


@check("pandas", "every type")
def _():
    frames = [pandas.read_sql(sql, CONNECTION) for sql in (TYPES, MADE_TYPES)]
    write_types(f"{OUT}.pandas", *([(name, frame[name].dtype, list(frame[name])) for name in frame] for frame in frames))


@check("pandas", "a query under policy")
def _():
    frame = pandas.read_sql("SELECT region, phone FROM north.civil.people WHERE id_no = 1", CONNECTION)
    equal([["north", "01"]], frame.values.tolist())


@check("pandas", "parameters, which it takes none of over ADBC")
def _():
    told = refusal(lambda: pandas.read_sql("SELECT id FROM north.lab.types WHERE id = ?", CONNECTION, params=(1,)))
    assert "'params' is not implemented for ADBC drivers" in told, told


# At a decimal of 256 bits and at an interval Polars panics.
UNREAD = {"decimal_76_20", "interval_year_month", "interval_day_time", "interval_month_day_nano"}


def read_by_polars(sql):
    with CONNECTION.cursor() as cursor:
        names = [f'"{name}"' for name in cursor.adbc_execute_schema(sql).names if name not in UNREAD]
    frame = polars.read_database(f"SELECT {', '.join(names)} FROM ({sql}) AS t ORDER BY id", CONNECTION)
    return [(name, frame.schema[name], frame[name].to_list()) for name in frame.columns]


@check("polars", "every type")
def _():
    write_types(f"{OUT}.polars", read_by_polars(TYPES), read_by_polars(MADE_TYPES))


@check("polars", "parameters, as the connection takes them")
def _():
    sql = "SELECT id FROM north.lab.types WHERE date32 = ? OR utf8 = ? ORDER BY id"
    bound_to = {"parameters": (datetime.date(9999, 12, 31), "")}
    equal([1, 2], polars.read_database(sql, CONNECTION, execute_options=bound_to)["id"].to_list())


@check("polars", "a query under policy")
def _():
    frame = polars.read_database("SELECT region, phone FROM north.civil.people WHERE id_no = 1", CONNECTION)
    equal([("north", "01")], frame.rows())


CONNECTION.close()
finish()
