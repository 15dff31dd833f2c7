"""Has a Trino server run statements: one a line, each answer as an Arrow file, then `ok`.

usage: trino_attached.py MANIFEST ANSWER

MANIFEST is JSON: {"port": p, "views": [{"catalog", "schema", "name", "sql"}]}; the server is on loopback and may still start.
"""

import json
import pathlib
import re
import sys
import time

import pyarrow as pa
import requests
import trino

START_LIMIT_S = 300
PLAIN = {
    "boolean": pa.bool_(),
    "bigint": pa.int64(),
    "integer": pa.int32(),
    "double": pa.float64(),
    "date": pa.date32(),
}


def arrow_type(name: str) -> pa.DataType:
    """The Arrow type of a column that Trino calls so."""
    decimal = re.fullmatch(r"decimal\((\d+),\s*(\d+)\)", name)
    if decimal:
        return pa.decimal128(int(decimal[1]), int(decimal[2]))
    return PLAIN.get(name, pa.string())


def run(statement: str) -> pa.Table:
    """All rows of its answer."""
    cursor = connection.cursor()
    cursor.execute(statement)
    rows = cursor.fetchall()
    fields = [pa.field(column.name, arrow_type(column.type_code)) for column in cursor.description]
    columns = [pa.array([row[at] for row in rows], field.type) for at, field in enumerate(fields)]
    return pa.Table.from_arrays(columns, schema=pa.schema(fields))


manifest = json.loads(pathlib.Path(sys.argv[1]).read_text(encoding="utf-8"))
connection = trino.dbapi.connect(host="127.0.0.1", port=manifest["port"], user="bench")
started = time.monotonic()
while True:
    try:
        run("SELECT 1")
        break
    except (trino.exceptions.Error, requests.RequestException) as error:
        if time.monotonic() - started > START_LIMIT_S:
            sys.exit(f"Trino has not started: {error}")
        time.sleep(1)
schemas = {(view["catalog"], view["schema"]) for view in manifest["views"]}
for catalog, schema in sorted(schemas):
    run(f"CREATE SCHEMA {catalog}.{schema}")
for view in manifest["views"]:
    run(f"CREATE VIEW {view['catalog']}.{view['schema']}.{view['name']} AS {view['sql']}")
print("ok", flush=True)
for line in sys.stdin:
    try:
        answer = run(line)
        with pa.ipc.new_file(sys.argv[2], answer.schema) as writer:
            writer.write_table(answer)
        print("ok", flush=True)
    except (trino.exceptions.Error, requests.RequestException, pa.ArrowException) as error:
        print(str(error).replace("\n", " "), flush=True)
