"""Writes the expected rows of demo.sql anew: DuckDB's answers over the files of the demo, which Chancery has no part in.

usage: expect_demo.py            (run it after changing a statement in demo.sql, and read the difference)
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


def connect():
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    for name, path in TABLES.items():
        site, source, _ = name.split(".")
        connection.execute(f"ATTACH IF NOT EXISTS ':memory:' AS {site}")
        connection.execute(f"CREATE SCHEMA IF NOT EXISTS {site}.{source}")
        connection.execute(f"CREATE TABLE {name} AS SELECT * FROM '{DATA / path}'")
    return connection


def expected(connection, case):
    answer = connection.execute("\n".join(case.sql)).to_arrow_table()
    rows = list(zip(*[[text(value) for value in column.to_pylist()] for column in answer.columns]))
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(answer.column_names)
    writer.writerows([["\\N" if value is None else value for value in row] for row in rows])
    return out.getvalue()


def main():
    path = HERE / "demo.sql"
    tables, cases = read_cases(path)
    connection = connect()
    blocks = [path.read_text(encoding="utf-8").split("-- name: ", 1)[0].rstrip() + "\n"]
    for case in cases:
        name = case.name + (" ordered" if case.ordered else "")
        sql = "\n".join(case.sql)
        blocks.append(f"-- name: {name}\n{sql}\n-- expected\n{expected(connection, case)}")
    path.write_text("\n".join(blocks), encoding="utf-8")


if __name__ == "__main__":
    main()
