"""pyarrow.flight against a running federation: plain Flight, by the messages of Flight SQL that it is given.

usage: arrow_flight.py HOST:PORT AUTHORITY.crt OUT
"""

import sys

import pyarrow.flight as flight
from told import MADE_TYPES, TYPES, check, equal, finish, refusal, write_types

ADDRESS, AUTHORITY, OUT = sys.argv[1:]
with open(AUTHORITY, "rb") as file:
    CLIENT = flight.FlightClient(f"grpc+tls://{ADDRESS}", tls_root_certs=file.read())
SQL = b"type.googleapis.com/arrow.flight.protocol.sql."


def field(number, value):
    """A field of protobuf that holds bytes."""
    length, size = b"", len(value)
    while size > 127:
        length, size = length + bytes([size & 127 | 128]), size >> 7
    return bytes([number << 3 | 2]) + length + bytes([size]) + value


def command(name, value=b""):
    return field(1, SQL + name) + field(2, value)


def statement(sql):
    return flight.FlightDescriptor.for_command(command(b"CommandStatementQuery", field(1, sql.encode())))


OPTIONS = flight.FlightCallOptions(headers=[CLIENT.authenticate_basic_token("analyst", "analyst")])


def read(descriptor, options=OPTIONS):
    info = CLIENT.get_flight_info(descriptor, options)
    equal(1, len(info.endpoints))
    equal([], list(info.endpoints[0].locations))
    table = CLIENT.do_get(info.endpoints[0].ticket, options).read_all()
    equal(info.schema, table.schema)
    equal(CLIENT.get_schema(descriptor, options).schema, table.schema)
    return table


@check("pyarrow", "every type, and the same schema at every call")
def _():
    tables = [read(statement(sql)) for sql in (TYPES, MADE_TYPES)]
    write_types(f"{OUT}.pyarrow", *([(of.name, of.type, table[of.name].to_pylist()) for of in table.schema] for table in tables))


@check("pyarrow", "the schema is declared as it is sent, whatever hangs on statistics")
def _():
    for sql in [
        "SELECT min(n), max(label), count(*), sum(n) FROM north.lab.numbers",
        "SELECT id_no, CASE WHEN id_no > 5 THEN phone END AS p FROM north.civil.people UNION ALL SELECT 1, NULL",
        "SELECT 1 AS one, NULL AS nothing",
        "SELECT count(*) FROM north.civil.people n JOIN south.civil.people s ON s.born = n.born",
        "SHOW TABLES",
        "DESCRIBE north.lab.types",
        "EXPLAIN SELECT 1",
        "SHOW purpose",
    ]:
        read(statement(sql))


@check("pyarrow", "metadata commands, each as it is declared")
def _():
    primary = field(3, b"people")
    for name, value in [
        (b"CommandGetCatalogs", b""),
        (b"CommandGetDbSchemas", b""),
        (b"CommandGetTables", b"\x28\x01"),
        (b"CommandGetTableTypes", b""),
        (b"CommandGetSqlInfo", b""),
        (b"CommandGetXdbcTypeInfo", b""),
        (b"CommandGetPrimaryKeys", primary),
        (b"CommandGetExportedKeys", primary),
        (b"CommandGetImportedKeys", primary),
        (b"CommandGetCrossReference", primary + field(6, b"people")),
    ]:
        table = read(flight.FlightDescriptor.for_command(command(name, value)))
        if name == b"CommandGetPrimaryKeys":
            equal([("north", "people", "id_no", 1)], [(r["catalog_name"], r["table_name"], r["column_name"], r["key_sequence"]) for r in table.to_pylist()])
        elif name.endswith(b"Keys") or name.endswith(b"Reference"):
            equal(0, table.num_rows)
        else:
            assert table.num_rows, name


@check("pyarrow", "a whole statement as a pattern of a table's name")
def _():
    pattern = field(3, b"SELECT '%\\_' FROM x WHERE y LIKE '\\")
    equal(0, read(flight.FlightDescriptor.for_command(command(b"CommandGetTables", pattern))).num_rows)


@check("pyarrow", "Basic at every call, without a handshake")
def _():
    basic = flight.FlightCallOptions(headers=[(b"authorization", b"Basic YW5hbHlzdDphbmFseXN0")])
    equal([1], read(statement("SELECT 1 AS one"), basic)["one"].to_pylist())


@check("pyarrow", "what is not offered")
def _():
    for call in [
        lambda: list(CLIENT.list_flights(options=OPTIONS)),
        lambda: list(CLIENT.do_action(flight.Action("Nothing", b""), OPTIONS)),
        lambda: CLIENT.get_flight_info(flight.FlightDescriptor.for_path("a"), OPTIONS),
        lambda: CLIENT.get_flight_info(
            flight.FlightDescriptor.for_command(command(b"CommandStatementSubstraitPlan")), OPTIONS
        ),
        lambda: CLIENT.do_get(flight.Ticket(b"SELECT 1"), OPTIONS).read_all(),
    ]:
        told = refusal(call)
        assert "UNSUPPORTED" in told or "NOT_FOUND" in told, told


@check("pyarrow", "a closed session")
def _():
    other = flight.FlightCallOptions(headers=[CLIENT.authenticate_basic_token("analyst", "analyst")])
    equal([1], read(statement("SELECT 1 AS one"), other)["one"].to_pylist())
    list(CLIENT.do_action(flight.Action("CloseSession", b""), other))
    assert "UNAUTHENTICATED" in refusal(lambda: read(statement("SELECT 1"), other))


finish()
