"""`flight_sql_client`, the command-line client of the crate `arrow-flight`, against a running federation.

usage: arrow_flight_cli.py HOST:PORT AUTHORITY.crt OUT PROGRAM
"""

import os
import subprocess
import sys

import pyarrow.flight as flight
from told import MADE_TYPES, TYPES, check, equal, finish, write_types

ADDRESS, AUTHORITY, OUT, PROGRAM = sys.argv[1:]
HOST, PORT = ADDRESS.split(":")


def token():
    """What a handshake answers with; the program has no other way to keep a session."""
    with open(AUTHORITY, "rb") as file:
        client = flight.FlightClient(f"grpc+tls://{ADDRESS}", tls_root_certs=file.read())
    _, bearer = client.authenticate_basic_token("analyst", "analyst")
    return bearer.decode().removeprefix("Bearer ")


BY_TOKEN = ["--token", token()]
BY_PASSWORD = ["--username", "analyst", "--password", "analyst"]


def run(*command, signed_in=BY_TOKEN, headers=()):
    given = [word for header in headers for word in ("--header", header)]
    arguments = [PROGRAM, "--host", HOST, "--port", PORT, "--tls", *signed_in, *given, *command]
    environment = {**os.environ, "SSL_CERT_FILE": AUTHORITY}
    return subprocess.run(arguments, env=environment, capture_output=True, text=True, timeout=60, check=False)


def ask(*command, **how):
    """The cells of the answer, row by row, the names of its columns first."""
    done = run(*command, **how)
    assert done.returncode == 0, done.stderr
    rows = []
    for line in done.stdout.splitlines():
        if line.startswith("|"):
            rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


def refusal(*command, **how):
    done = run(*command, **how)
    assert done.returncode != 0, f"it was answered: {done.stdout}"
    return done.stderr


def shown(sql):
    """A value of more than one line goes on in the next one."""
    names, *lines = ask("statement-query", "--", sql)
    rows = []
    for line in lines:
        if line[0]:
            rows.append(line)
        else:
            rows[-1] = [f"{begun}\n{more}" if more else begun for begun, more in zip(rows[-1], line)]
    equal(3, len(rows))
    return zip(names, ["text"] * len(names), zip(*rows))


@check("flight_sql_client", "every type")
def _():
    write_types(f"{OUT}.flight_sql_client", shown(TYPES), shown(MADE_TYPES))


@check("flight_sql_client", "listings")
def _():
    equal([["catalog_name"], ["north"], ["south"], ["system"]], ask("catalogs"))
    equal([["north", "civil"], ["north", "lab"]], ask("db-schemas", "north")[1:])
    equal([["north", "civil", "people", "BASE TABLE"]], ask("tables", "north", "--table-filter", "peo%")[1:])
    equal([["BASE TABLE"], ["VIEW"]], ask("table-types")[1:])


@check("flight_sql_client", "a prepared statement with parameters")
def _():
    sql = "SELECT phone, region FROM north.civil.people WHERE id_no = $1 AND born < $2"
    bound = ["-p", "$1=1", "-p", "$2=2000-01-01"]
    equal([["phone", "region"], ["01", "north"]], ask("prepared-statement-query", sql, *bound))
    equal([["one"], ["1"]], ask("prepared-statement-query", "SELECT 1 AS one"))
    # What is no value of the type that it was told, the program makes a NULL of.
    equal([["phone", "region"]], ask("prepared-statement-query", sql, "-p", "$1=no number", "-p", "$2=2000-01-01"))


@check("flight_sql_client", "a password, and a purpose")
def _():
    purpose = ["x-chancery-purpose=research"]
    equal([["purpose"], ["research"]], ask("statement-query", "SHOW purpose", signed_in=BY_PASSWORD, headers=purpose))


@check("flight_sql_client", "errors")
def _():
    told = refusal("statement-query", "SELECT * FROM north.civil.persons")
    assert "NOT_FOUND: there is no table `north.civil.persons`" in told, told
    done = run("statement-query", "SELECT 1 AS one", signed_in=["-v", *BY_TOKEN])
    assert "x-chancery-query-id" in done.stdout, done
    assert "UNAUTHENTICATED" in refusal("catalogs", signed_in=["--username", "analyst", "--password", "wrong"])
    assert "UNAUTHENTICATED" in refusal("catalogs", signed_in=["--token", "x" * 40])


finish()
