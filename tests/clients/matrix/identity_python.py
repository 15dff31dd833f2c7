"""The ADBC driver and pyarrow.flight log in by a certificate and by an issuer's token, against a running federation.

usage: identity_python.py COORDINATOR NORTH ROOT      each HOST:PORT; ROOT: certs/, ana.jwt, forged.jwt
"""

import pathlib
import sys

import adbc_driver_flightsql.dbapi as flight_sql
import pyarrow.flight as flight
from told import check, equal, finish, refusal

COORDINATOR, NORTH, ROOT = sys.argv[1:]
CERTS = pathlib.Path(ROOT, "certs")
TOKEN, FORGED = (pathlib.Path(ROOT, name).read_text(encoding="ascii") for name in ("ana.jwt", "forged.jwt"))
ROOTS = (CERTS / "authority.crt").read_text(encoding="ascii")
# Of the two regions `ana` of the users file has one, and so has the one of the token.
PEOPLE = "SELECT DISTINCT region FROM north.civil.people"
BELIEVED_BY = "SELECT DISTINCT believed_by FROM system.sessions.open"
CLIENT_OPTION, HEADER = "adbc.flight.sql.client_option.", "adbc.flight.sql.authorization_header"


def shown(name):
    """A certificate and its key."""
    return tuple((CERTS / f"{name}.{kind}").read_text(encoding="ascii") for kind in ("crt", "key"))


def adbc(address=COORDINATOR, certificate=None, **options):
    options |= {CLIENT_OPTION + "tls_root_certs": ROOTS}
    if certificate:
        chain, key = shown(certificate)
        options |= {CLIENT_OPTION + "mtls_cert_chain": chain, CLIENT_OPTION + "mtls_private_key": key}
    return flight_sql.connect(f"grpc+tls://{address}", db_kwargs=options, autocommit=True)


def ask(connection, sql):
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall()


def refused(**how):
    def once():
        with adbc(**how) as connection:
            ask(connection, "SELECT 1")

    told = refusal(once)
    assert "UNAUTHENTICATED" in told, told
    return told


@check("adbc", "a certificate at the coordinator and at a site")
def _():
    for address in (COORDINATOR, NORTH):
        with adbc(address, "ana.health.example") as connection:
            equal([("north",)], ask(connection, PEOPLE))
            equal([("certificate",)], ask(connection, BELIEVED_BY))
            ask(connection, "SET statement_timeout = '77s'")
            equal([("77000ms",)], ask(connection, "SHOW statement_timeout"))
        told = refused(address=address, certificate="north")
        assert "the certificate of `north`" in told, told
        refused(address=address, certificate="ana.health.example", **{HEADER: "Basic YW5hOndyb25n"})
        refused(address=address)


@check("adbc", "an issuer's token")
def _():
    with adbc(**{HEADER: f"Bearer {TOKEN}"}) as connection:
        equal([("north",)], ask(connection, PEOPLE))
        equal([("token",)], ask(connection, BELIEVED_BY))
    refused(**{HEADER: f"Bearer {FORGED}"})
    refused(certificate="ana.health.example", **{HEADER: f"Bearer {FORGED}"})


def field(number, value):
    """A field of protobuf that holds fewer than 128 bytes."""
    return bytes([number << 3 | 2, len(value)]) + value


def pyarrow(certificate=None, address=COORDINATOR):
    how = {"tls_root_certs": ROOTS.encode()}
    if certificate:
        chain, key = shown(certificate)
        how |= {"cert_chain": chain.encode(), "private_key": key.encode()}
    return flight.FlightClient(f"grpc+tls://{address}", **how)


def bearing(token):
    return flight.FlightCallOptions(headers=[(b"authorization", f"Bearer {token}".encode())])


def read(client, sql, options=None):
    command = field(1, b"type.googleapis.com/arrow.flight.protocol.sql.CommandStatementQuery")
    command += field(2, field(1, sql.encode()))
    info = client.get_flight_info(flight.FlightDescriptor.for_command(command), options)
    return client.do_get(info.endpoints[0].ticket, options).read_all().to_pydict()


class Handshake(flight.ClientAuthHandler):
    """A handshake that says nothing of itself: what counts is its header, or the certificate."""

    def authenticate(self, outgoing, incoming):
        outgoing.write(b"")
        self.token = incoming.read().decode()

    def get_token(self):
        return b""


def handshake(client, options=None):
    handler = Handshake()
    client.authenticate(handler, options)
    return handler.token


@check("pyarrow", "a certificate, and a handshake by it")
def _():
    client = pyarrow("ana.health.example")
    equal({"region": ["north"]}, read(client, PEOPLE))
    token = handshake(pyarrow("ana.health.example"))
    equal({"region": ["north"]}, read(client, PEOPLE, bearing(token)))
    told = refusal(lambda: read(pyarrow(), PEOPLE, bearing(token)))
    assert "UNAUTHENTICATED" in told, told
    told = refusal(lambda: handshake(pyarrow()))
    assert "UNAUTHENTICATED" in told, told


@check("pyarrow", "an issuer's token, and a handshake by it")
def _():
    client = pyarrow()
    equal({"region": ["north"]}, read(client, PEOPLE, bearing(TOKEN)))
    token = handshake(pyarrow(), bearing(TOKEN))
    equal({"region": ["north"]}, read(client, PEOPLE, bearing(token)))
    for attempt in (lambda: read(client, PEOPLE, bearing(FORGED)), lambda: handshake(pyarrow(), bearing(FORGED))):
        told = refusal(attempt)
        assert "UNAUTHENTICATED" in told, told


finish()
