"""Writes the expected rows of demo.sql and demo/*.sql anew: DuckDB's answers over the files of the demo, which Chancery has no
part in. demo.sql is answered over the data as they are, demo/<user>.sql over what that user is to see. Refusals and what is
marked `by-hand` stay as they are.

usage: expect_demo.py            (run it after changing a statement, and read the difference)
"""

import csv
import io
import pathlib

import duckdb

from adbc import read_cases, text

HERE = pathlib.Path(__file__).parent
DATA = HERE.parent.parent / "engine/demo/nycflights13"
TABLES = {
    "bts.ontime.flights": "bts/flights.parquet",
    "bts.ontime.airlines": "bts/airlines.csv",
    "faa.registry.airports": "faa/airports.csv",
    "faa.registry.planes": "faa/planes.parquet",
    "noaa.observations.weather": "noaa/weather.parquet",
}
# How a user sees a table that is not as it is. Pseudonyms and aggregates are not DuckDB's to make.
SEEN = {
    ("analyst", "faa.registry.planes"): "SELECT * REPLACE (NULL::BIGINT AS speed) FROM {}",
    ("desk", "bts.ontime.flights"): "SELECT * FROM {} WHERE origin = 'JFK'",
    ("desk", "faa.registry.planes"): "SELECT * REPLACE (left(model, 3) AS model) FROM {}",
}


def connect(user):
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    for name, path in TABLES.items():
        site, source, _ = name.split(".")
        connection.execute(f"ATTACH IF NOT EXISTS ':memory:' AS {site}")
        connection.execute(f"CREATE SCHEMA IF NOT EXISTS {site}.{source}")
        seen = SEEN.get((user, name), "SELECT * FROM {}").format(f"'{DATA / path}'")
        connection.execute(f"CREATE TABLE {name} AS {seen}")
    return connection


def expected(connection, case):
    answer = connection.execute("\n".join(case.sql)).to_arrow_table()
    rows = list(zip(*[[text(value) for value in column.to_pylist()] for column in answer.columns]))
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(answer.column_names)
    writer.writerows([["\\N" if value is None else value for value in row] for row in rows])
    return out.getvalue()


def rewrite(path):
    _, cases = read_cases(path)
    connection = connect(path.stem)
    blocks = [path.read_text(encoding="utf-8").split("-- name: ", 1)[0].rstrip() + "\n"]
    for case in cases:
        kept = case.refused or "by-hand" in case.marks
        rows = "\n".join(case.expected) + "\n" if kept else expected(connection, case)
        sql = "\n".join(case.sql)
        blocks.append(f"-- name: {case.header}\n{sql}\n-- expected\n{rows}")
    path.write_text("\n".join(blocks), encoding="utf-8")


def main():
    for path in [HERE / "demo.sql", *sorted((HERE / "demo").glob("*.sql"))]:
        rewrite(path)


if __name__ == "__main__":
    main()
