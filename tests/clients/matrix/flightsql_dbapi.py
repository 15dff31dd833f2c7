"""flightsql-dbapi, the DB-API below its dialect of SQLAlchemy 1.4, against a running federation.

usage: flightsql_dbapi.py HOST:PORT AUTHORITY.crt OUT
"""

import sys

from flightsql import FlightSQLClient
from flightsql import connect as connect_dbapi
from told import MADE_TYPES, TYPES, check, equal, finish, refusal, write_types

ADDRESS, AUTHORITY, OUT = sys.argv[1:]
HOST, PORT = ADDRESS.split(":")
with open(AUTHORITY, "rb") as file:
    ROOTS = file.read()


def client(user="analyst"):
    return FlightSQLClient(host=HOST, port=int(PORT), user=user, password=user, tls_root_certs=ROOTS)


def shown(sql):
    cursor = connect_dbapi(client()).cursor()
    cursor.execute(sql)
    rows, names = cursor.fetchall(), [column[0] for column in cursor.description]
    kinds = [{type(value).__name__ for value in values if value is not None} for values in zip(*rows)]
    return zip(names, [", ".join(sorted(kind)) for kind in kinds], zip(*rows))


@check("flightsql-dbapi", "every type")
def _():
    write_types(f"{OUT}.flightsql-dbapi", shown(TYPES), shown(MADE_TYPES))


@check("flightsql-dbapi", "listings")
def _():
    connection = connect_dbapi(client())
    assert "people" in connection.flightsql_get_table_names("civil")
    assert {"civil", "lab"} <= set(connection.flightsql_get_schema_names())
    columns = {column["name"]: column["type"] for column in connection.flightsql_get_columns("people", "civil")}
    equal({"id_no", "phone", "region", "born"}, set(columns))
    keys = connection.flightsql_get_primary_keys("people", "civil")
    equal([("north", "id_no", 1)], [(key["catalog_name"], key["column_name"], key["key_sequence"]) for key in keys])


@check("flightsql-dbapi", "parameters, of which none arrives")
def _():
    # It leaves the handle that holds them where it is, and asks with the one from before.
    cursor = connect_dbapi(client()).cursor()
    told = refusal(lambda: cursor.execute("SELECT id FROM north.lab.types WHERE id = ?", (1,)))
    assert "placeholder" in told.lower(), told
    cursor.execute("SELECT id FROM north.lab.types WHERE id = 1")
    equal([1], [row[0] for row in cursor.fetchall()])


finish()
