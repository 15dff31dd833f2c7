"""Runs statements in DuckDB over attached PostgreSQL servers: one a line, each answer as an Arrow file, then `ok`.

usage: duckdb_attached.py MANIFEST ANSWER

MANIFEST is JSON: {"servers": [{"site", "host", "port"}], "views": [{"catalog", "schema", "name", "sql"}], "threads": n}.
"""

import json
import pathlib
import sys

import duckdb
import pyarrow as pa
from duckdb_extensions import import_extension

manifest = json.loads(pathlib.Path(sys.argv[1]).read_text(encoding="utf-8"))
connection = duckdb.connect(config={"threads": manifest["threads"]})
import_extension("postgres_scanner", con=connection)
connection.load_extension("postgres_scanner")
for server in manifest["servers"]:
    address = f"host={server['host']} port={server['port']} dbname=postgres user=reader password=reader"
    connection.execute(f"ATTACH '{address}' AS {server['site']} (TYPE postgres, READ_ONLY)")
catalogs = set()
for view in manifest["views"]:
    if view["catalog"] not in catalogs:
        catalogs.add(view["catalog"])
        connection.execute(f"ATTACH ':memory:' AS {view['catalog']}")
        connection.execute(f"CREATE SCHEMA {view['catalog']}.{view['schema']}")
    connection.execute(f"CREATE VIEW {view['catalog']}.{view['schema']}.{view['name']} AS {view['sql']}")
connection.execute("SET arrow_lossless_conversion = false")
print("ok", flush=True)
for line in sys.stdin:
    try:
        answer = connection.execute(line).to_arrow_table()
        with pa.ipc.new_file(sys.argv[2], answer.schema) as writer:
            writer.write_table(answer)
        print("ok", flush=True)
    except (duckdb.Error, pa.ArrowException) as error:
        print(str(error).replace("\n", " "), flush=True)
