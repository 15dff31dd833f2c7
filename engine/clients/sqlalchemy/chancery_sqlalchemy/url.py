"""`chancery://user:password@host:port/catalog/schema?option=value`, checked once, as what the driver is told."""

import pathlib
from dataclasses import dataclass, field

from sqlalchemy import exc

PORT = 32010

_CLIENT = "adbc.flight.sql.client_option."
_HEADER = "adbc.flight.sql.rpc.call_header."
_TIMEOUT = "adbc.flight.sql.rpc.timeout_seconds."


@dataclass
class Target:
    """Where to connect, as whom, and where short names are looked for."""

    uri: str
    database: dict = field(default_factory=dict)
    connection: dict = field(default_factory=dict)
    catalog: str = None
    schema: str = None


def read(url):
    """The target that an URL of SQLAlchemy names; `ArgumentError` names what is wrong with it."""
    options = {name: value for name, value in url.query.items()}
    for name, value in options.items():
        if name not in _OPTIONS:
            raise exc.ArgumentError(f"chancery:// has no option {name!r}; it has {', '.join(sorted(_OPTIONS))}")
        if not isinstance(value, str):
            raise exc.ArgumentError(f"the option {name!r} of chancery:// is given more than once")
    if not url.host:
        raise exc.ArgumentError("chancery:// names no host: chancery://user:password@host:port/catalog/schema")
    encrypted = _switch("tls", options.pop("tls", "true"))
    host = f"[{url.host}]" if ":" in url.host else url.host
    target = Target(uri=f"grpc{'+tls' if encrypted else ''}://{host}:{url.port or PORT}")
    target.catalog, target.schema = _names(url.database)
    if target.catalog:
        target.connection["adbc.connection.catalog"] = target.catalog
    if target.schema:
        target.connection["adbc.connection.db_schema"] = target.schema
    _sign_in(target, url, options)
    for name, value in options.items():
        if name.startswith("tls_") and not encrypted:
            raise exc.ArgumentError(f"the option {name!r} of chancery:// is for tls=true")
        _OPTIONS[name](target, name, value)
    return target


def _names(path):
    """`catalog/schema`, either left out."""
    parts = [part for part in (path or "").split("/") if part]
    if len(parts) > 2:
        raise exc.ArgumentError(f"the path of chancery:// is /catalog/schema, not /{path}")
    return (parts + [None, None])[:2]


def _sign_in(target, url, options):
    token, token_file = options.pop("token", None), _first_line("token_file", options)
    if token is not None and token_file is not None:
        raise exc.ArgumentError("chancery:// takes 'token' or 'token_file', not both")
    token = token_file if token is None else token
    password = _first_line("password_file", options)
    if token is not None:
        if url.username or password is not None:
            raise exc.ArgumentError("chancery:// takes a token or a user, not both")
        target.database["adbc.flight.sql.authorization_header"] = f"Bearer {token}"
        return
    if password is not None and url.password is not None:
        raise exc.ArgumentError("chancery:// takes the password in the URL or in a file, not both")
    if not url.username:
        raise exc.ArgumentError("chancery:// names no user and no token: user:password@host, or the option 'token_file'")
    password = url.password if password is None else password
    if password is None:
        raise exc.ArgumentError("chancery:// has no password: user:password@host, or the option 'password_file'")
    target.database["username"] = url.username
    target.database["password"] = str(password)


def _first_line(name, options):
    path = options.pop(name, None)
    return None if path is None else _text(name, path).split("\n", 1)[0].rstrip("\r")


def _text(name, path):
    try:
        return pathlib.Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise exc.ArgumentError(f"the option {name!r} of chancery:// names a file that cannot be read: {error}") from None


def _switch(name, value):
    if value.lower() in ("true", "1", "yes", "on"):
        return True
    if value.lower() in ("false", "0", "no", "off"):
        return False
    raise exc.ArgumentError(f"the option {name!r} of chancery:// is true or false, not {value!r}")


def _file(option):
    def set_option(target, name, value):
        target.database[_CLIENT + option] = _text(name, value)

    return set_option


def _verify(target, name, value):
    target.database[_CLIENT + "tls_skip_verify"] = "false" if _switch(name, value) else "true"


def _server_name(target, _, value):
    target.database[_CLIENT + "tls_override_hostname"] = value


def _header(header):
    def set_option(target, _, value):
        target.database[_HEADER + header] = value

    return set_option


def _compression(target, name, value):
    if value not in ("lz4", "zstd"):
        raise exc.ArgumentError(f"the option {name!r} of chancery:// is lz4 or zstd, not {value!r}")
    target.database[_HEADER + "x-chancery-compression"] = value


def _seconds(*calls):
    def set_option(target, name, value):
        try:
            seconds = float(value)
        except ValueError:
            seconds = 0.0
        if not 0 < seconds < float("inf"):
            raise exc.ArgumentError(f"the option {name!r} of chancery:// is a number of seconds, not {value!r}")
        for call in calls:
            target.database[_TIMEOUT + call] = str(seconds)

    return set_option


def _nothing_more(*_):
    """Read before the others."""


_OPTIONS = {
    "tls": _nothing_more,
    "tls_ca": _file("tls_root_certs"),
    "tls_certificate": _file("mtls_cert_chain"),
    "tls_key": _file("mtls_private_key"),
    "tls_verify": _verify,
    "tls_server_name": _server_name,
    "token": _nothing_more,
    "token_file": _nothing_more,
    "password_file": _nothing_more,
    "purpose": _header("x-chancery-purpose"),
    "compression": _compression,
    "connect_timeout": _seconds("connect"),
    "timeout": _seconds("query", "fetch"),
}
