"""flightsql-dbapi, its DB-API and its dialect of SQLAlchemy 1.4, against a running federation.

usage: sqlalchemy_dialect.py HOST:PORT AUTHORITY.crt OUT
"""

import sys

import sqlalchemy
from flightsql import FlightSQLClient
from flightsql import connect as connect_dbapi
from told import check, equal, finish, refusal, write_types

ADDRESS, AUTHORITY, OUT = sys.argv[1:]
HOST, PORT = ADDRESS.split(":")
with open(AUTHORITY, "rb") as file:
    ROOTS = file.read()


def client(user="analyst"):
    return FlightSQLClient(host=HOST, port=int(PORT), user=user, password=user, tls_root_certs=ROOTS)


@check("flightsql-dbapi", "every type")
def _():
    connection = connect_dbapi(client())
    cursor = connection.cursor()
    cursor.execute("SELECT * FROM north.lab.types ORDER BY id")
    rows, names = cursor.fetchall(), [column[0] for column in cursor.description]
    kinds = [{type(value).__name__ for value in values if value is not None} for values in zip(*rows)]
    columns = zip(names, [", ".join(sorted(kind)) for kind in kinds], zip(*rows))
    write_types(f"{OUT}.flightsql-dbapi", columns)


@check("flightsql-dbapi", "listings")
def _():
    connection = connect_dbapi(client())
    assert "people" in connection.flightsql_get_table_names("civil")
    assert {"civil", "lab"} <= set(connection.flightsql_get_schema_names())
    columns = {column["name"]: column["type"] for column in connection.flightsql_get_columns("people", "civil")}
    equal({"id_no", "phone", "region", "born"}, set(columns))
    equal([], connection.flightsql_get_primary_keys("people", "civil"))


@check("sqlalchemy", "a query with literal parameters, and what there is")
def _():
    # The dialect can name no authority, so the certificate is not verified.
    url = f"datafusion://analyst:analyst@{ADDRESS}?disable_server_verification=true"
    engine = sqlalchemy.create_engine(url)
    with engine.connect() as connection:
        found = connection.execute(
            sqlalchemy.text("SELECT phone FROM north.civil.people WHERE id_no = :id"), {"id": 1}
        ).fetchall()
        equal([("01",)], [tuple(row) for row in found])
        assert sqlalchemy.inspect(engine).has_table("people", schema="civil")
        told = refusal(lambda: connection.execute(sqlalchemy.text("SELECT * FROM north.civil.persons")).fetchall())
        assert "NOT_FOUND" in told, told


finish()
