"""Runs statements in DuckDB over the Parquet files of a data set; the Rust program `oracle_duckdb` compares the answers.

usage: duckdb_oracle.py MANIFEST OUT

MANIFEST is JSON: {"tables": [{"site", "source", "name", "path"}], "regional": [{"site", "source", "name", "sql"}],
"statements": [sql, ...]}. OUT receives one Arrow file for each statement, `<index>.arrow`, or `<index>.error` with the reason.
"""

import json
import pathlib
import sys

import duckdb
import pyarrow as pa

# What SQL leaves open is set as DataFusion has it: the place of NULLs, the division of integers, the time zone.
SETTINGS = [
    "SET default_null_order = 'nulls_last_on_asc_first_on_desc'",
    "SET integer_division = true",
    "SET TimeZone = 'UTC'",
    "SET arrow_lossless_conversion = false",
]


def quote(name):
    return '"' + name.replace('"', '""') + '"'


def load(connection, manifest):
    created = set()

    def full_name(table):
        site, source = table["site"], table["source"]
        if site not in created:
            connection.execute(f"ATTACH ':memory:' AS {quote(site)}")
            created.add(site)
        connection.execute(f"CREATE SCHEMA IF NOT EXISTS {quote(site)}.{quote(source)}")
        return f"{quote(site)}.{quote(source)}.{quote(table['name'])}"

    for table in manifest["tables"]:
        name = full_name(table)
        connection.execute(f"CREATE TABLE {name} AS SELECT * FROM read_parquet(?)", [table["path"]])
    for table in manifest["regional"]:
        name = full_name(table)
        connection.execute(f"CREATE TABLE {name} AS {table['sql']}")


def run(connection, sql, path):
    try:
        answer = connection.execute(sql).to_arrow_table()
        with pa.ipc.new_file(path.with_suffix(".arrow"), answer.schema) as writer:
            writer.write_table(answer)
    except (duckdb.Error, pa.ArrowException) as error:
        path.with_suffix(".error").write_text(str(error), encoding="utf-8")


def main():
    manifest = json.loads(pathlib.Path(sys.argv[1]).read_text(encoding="utf-8"))
    out = pathlib.Path(sys.argv[2])
    connection = duckdb.connect()
    for setting in SETTINGS:
        connection.execute(setting)
    load(connection, manifest)
    for index, sql in enumerate(manifest["statements"]):
        run(connection, sql, out / str(index))


if __name__ == "__main__":
    main()
