"""The documentation's tables of what each client shows for each type and binds of it, from what the clients have written down.

usage: types_table.py TYPES.md DIRECTORY [--write]

DIRECTORY/types.<client>: one line a column: name, type, three values; DIRECTORY/parameters.<client>: name, `yes` or what it is instead

Without --write the page is compared with what it would be, and the exit status says whether it is true.
"""

import pathlib
import sys

HEAD = """# What each client shows for each type

What each binds of it as a parameter is [at the end](#parameters).

Written by `tests/clients/matrix/run --write` and compared by each run of it: a table with a column of every type that a file
can hold, and from `utf8_view` on a statement with one of every other type that a statement can make
([made_types.sql](../../../tests/clients/matrix/made_types.sql)), of which each client reads three rows: the least value, the greatest or
an odd one, and NULL. What is declared before is what is sent, in FlightInfo, GetSchema and prepared statements.

On the wire layouts are plain: lists of every layout leave as `List`, views, dictionaries and run-ends as what they hold, half floats as
`Float32`, small decimals as `Decimal128`, and intervals as the one of months, days and nanoseconds, the only one that Python has values for;
the JDBC driver, which shows all three, gets each as it is.
To the JDBC driver, and to all that comes as gRPC for Java as it does, unsigned numbers leave as the next larger signed type
(`UInt64` as `DECIMAL(20, 0)`), and times with a zone without it, in UTC: it shows the former as negative numbers, and gives no
object for the latter. `pandas` turns whole numbers with NULLs into floats (`read_sql(…, dtype_backend="pyarrow")` does not). `polars` panics at a decimal of more than
38 digits and at an interval, and is not asked for them. `flight_sql_client` shows NULL as nothing.
"""

PARAMETERS = """## Parameters

Of each type a value and a NULL, bound as the client has them, and compared with the column that holds them; where it is `yes`, both find
what they should. By `adbc` each also comes back as it is from `SELECT ?, ?`. JDBC binds what the setter for the type takes (`setBytes`,
`setBigDecimal`, `setTimestamp`, …), in milliseconds; for intervals and durations, structs and maps it has none. Python makes no interval of
months alone, and none of days and a time.

- pandas takes no parameters over ADBC; polars takes them as `execute_options={"parameters": …}`, and they are those of `adbc`.
- flightsql-dbapi asks with the handle from before its values were bound, so that none arrives: the statement is refused.
- The Node client has no call that binds.
- `flight_sql_client` binds texts, which are read as the type that stands there; what is none of it becomes NULL.
- pyarrow.flight has no call of its own: `DoPut` with the handle of a prepared statement binds whatever row it is given.
"""


def cells(path):
    for line in path.read_text(encoding="utf-8").splitlines():
        yield line.split("\t")


def escaped(text):
    return text.replace("|", "\\|").replace("`", "'")


def code(text):
    text = text if len(text) <= 60 else text[:57] + "…"
    return "``" if text == "" else f"`{escaped(text)}`"


def page(directory):
    lines = [HEAD]
    for path in sorted(pathlib.Path(directory).glob("types.*")):
        lines += [f"## {path.name.removeprefix('types.')}", "", "| column | type | least | greatest, or odd | NULL |"]
        lines += ["|---|---|---|---|---|"]
        lines += ["| " + " | ".join([row[0]] + [code(cell) for cell in row[1:]]) + " |" for row in cells(path)]
        lines += [""]
    return "\n".join([*lines, PARAMETERS, *parameters(directory), ""])


def parameters(directory):
    """One table of all clients, a row for each type."""
    paths = sorted(pathlib.Path(directory).glob("parameters.*"))
    clients = {path.name.removeprefix("parameters."): dict(cells(path)) for path in paths}
    names = dict.fromkeys(name for told in clients.values() for name in told)
    yield "| column | " + " | ".join(clients) + " |"
    yield "|---" * (len(clients) + 1) + "|"
    for name in names:
        told = (escaped(of.get(name, "—")) for of in clients.values())
        yield f"| {name} | " + " | ".join(told) + " |"


def main():
    target, directory, *mode = sys.argv[1:]
    target, written = pathlib.Path(target), page(directory)
    if mode == ["--write"]:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(written, encoding="utf-8")
        return 0
    documented = target.read_text(encoding="utf-8") if target.exists() else ""
    if documented == written:
        print("types: the page is true")
        return 0
    ours, theirs = documented.splitlines(), written.splitlines()
    print(f"types: {target} is not what clients show; tests/clients/matrix/run --write writes it")
    print(*(f"  now {line}" for line in theirs if line not in ours), sep="\n")
    return 1


sys.exit(main())
