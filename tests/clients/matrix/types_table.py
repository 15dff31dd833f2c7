"""The documentation's table of what each client shows for each type, from what the clients have written down.

usage: types_table.py TYPES.md DIRECTORY [--write]      DIRECTORY/types.<client>, one line a column: name, type, three values

Without --write the page is compared with what it would be, and the exit status says whether it is true.
"""

import pathlib
import sys

HEAD = """# What each client shows for each type

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


def cells(path):
    for line in path.read_text(encoding="utf-8").splitlines():
        yield line.split("\t")


def code(text):
    text = text if len(text) <= 60 else text[:57] + "…"
    return "``" if text == "" else "`" + text.replace("|", "\\|").replace("`", "'") + "`"


def page(directory):
    lines = [HEAD]
    for path in sorted(pathlib.Path(directory).glob("types.*")):
        lines += [f"## {path.name.removeprefix('types.')}", "", "| column | type | least | greatest, or odd | NULL |"]
        lines += ["|---|---|---|---|---|"]
        lines += ["| " + " | ".join([row[0]] + [code(cell) for cell in row[1:]]) + " |" for row in cells(path)]
        lines += [""]
    return "\n".join(lines)


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
