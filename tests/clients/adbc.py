"""Asks a running Chancery through ADBC and compares what comes back with expected rows.

usage: CHANCERY_PASSWORD=... adbc.py HOST:PORT USER FILE...

A file is a list of cases:

    -- tables: bts.ontime.flights, faa.registry.airports        all that the client is to see beside `system`
    -- name: a_name [ordered] [by-hand]
    SELECT ...
    -- expected
    column,column
    value,value
    -- name: a_name refused
    SELECT ...
    -- expected
    CODE: sentence

Expected rows are CSV with a header of column names; NULL is written \\N. Rows are compared as a multiset unless the case is
`ordered`, values exactly but for floats (relative 1e-9). Rows `by-hand` are not DuckDB's. A refusal is the server's words, or
their beginning before `…`. The exit status is 1 if any case differs, 2 if there was none.
"""

import csv
import decimal
import io
import math
import os
import re
import sys

import adbc_driver_flightsql.dbapi
import adbc_driver_manager
import pyarrow as pa

RELATIVE = 1e-9


class Case:
    def __init__(self, header):
        self.header = header
        self.name, *self.marks = header.split()
        self.ordered, self.refused = "ordered" in self.marks, "refused" in self.marks
        self.sql, self.expected = [], None


def read_cases(path):
    tables, cases = None, []
    with open(path, encoding="utf-8", newline="") as file:
        for line in file.read().splitlines():
            if line.startswith("-- tables:"):
                names = (name.strip() for name in line.removeprefix("-- tables:").split(","))
                tables = (tables or set()) | {name for name in names if name}
            elif line.startswith("-- name: "):
                cases.append(Case(line.removeprefix("-- name: ")))
            elif line.strip() == "-- expected":
                cases[-1].expected = []
            elif not line.strip() or line.startswith("-- "):
                continue
            elif cases[-1].expected is None:
                cases[-1].sql.append(line)
            else:
                cases[-1].expected.append(line)
    return tables, cases


def expected_rows(case):
    rows = list(csv.reader(io.StringIO("\n".join(case.expected))))
    return rows[0], [tuple(None if value == "\\N" else value for value in row) for row in rows[1:]]


def text(value):
    """A value as it is written in the expected rows."""
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, decimal.Decimal):
        return format(value, "f")
    return value.isoformat(sep=" ") if hasattr(value, "hour") and hasattr(value, "year") else str(value)


def equal(expected, actual, is_float):
    if expected is None or actual is None or not is_float:
        return expected == actual
    return math.isclose(float(expected), float(actual), rel_tol=RELATIVE) or expected == actual


def same_rows(expected, actual, floats, ordered):
    def close(left, right):
        return all(equal(a, b, is_float) for a, b, is_float in zip(left, right, floats))

    if len(expected) != len(actual):
        return False
    if ordered:
        return all(close(left, right) for left, right in zip(expected, actual))
    remaining = list(actual)
    for row in expected:
        found = next((index for index, other in enumerate(remaining) if close(row, other)), None)
        if found is None:
            return False
        remaining.pop(found)
    return True


def words(error):
    """What the server said, without what the driver says around it."""
    said = str(error).partition("[FlightSQL] ")[2]
    return re.sub(r" \([A-Za-z]+; [A-Za-z]+\).*$", "", said, flags=re.DOTALL)


def run(cursor, case):
    """What differs, or None."""
    try:
        cursor.execute("\n".join(case.sql))
        table = cursor.fetch_arrow_table()
    except adbc_driver_manager.Error as error:
        said, expected = words(error), " ".join(case.expected)
        start = expected.removesuffix("…")
        is_expected = said == expected or (start != expected and said.startswith(start))
        return None if case.refused and is_expected else f"refused: {said or error}"
    if case.refused:
        return f"answered with {table.num_rows} rows"
    names, expected = expected_rows(case)
    if table.column_names != names:
        return f"columns {table.column_names} for {names}"
    columns = [[text(value) for value in column.to_pylist()] for column in table.columns]
    actual = list(zip(*columns)) if table.num_rows else []
    floats = [pa.types.is_floating(field.type) for field in table.schema]
    if same_rows(expected, actual, floats, case.ordered):
        return None
    return f"{len(actual)} rows for {len(expected)}\n  expected {expected[:5]}\n  actual   {actual[:5]}"


def visible_tables(connection):
    seen = set()
    for catalog in connection.adbc_get_objects(depth="tables").read_all().to_pylist():
        for schema in catalog["catalog_db_schemas"] or []:
            for table in schema["db_schema_tables"] or []:
                seen.add(f"{catalog['catalog_name']}.{schema['db_schema_name']}.{table['table_name']}")
    return {name for name in seen if not name.startswith("system.")}


def check_file(connection, user, path):
    tables, cases = read_cases(path)
    seen = visible_tables(connection)
    failures = [] if tables is None or seen == tables else [f"{path}: the tables {sorted(seen)} for {sorted(tables)}"]
    with connection.cursor() as cursor:
        for case in cases:
            difference = run(cursor, case)
            print(f"adbc: {user}: {case.name}: {'differs' if difference else 'ok'}")
            if difference:
                failures.append(f"{path}: {case.name}: {difference}")
    return len(cases), failures


def main():
    address, user, *paths = sys.argv[1:]
    options = {"username": user, "password": os.environ["CHANCERY_PASSWORD"]}
    with adbc_driver_flightsql.dbapi.connect(f"grpc://{address}", db_kwargs=options, autocommit=True) as connection:
        results = [check_file(connection, user, path) for path in paths]
    failures = [failure for _, found in results for failure in found]
    print(*failures, sep="\n", end="\n" if failures else "")
    if not sum(count for count, _ in results):
        print("adbc: no case was found")
        return 2
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
