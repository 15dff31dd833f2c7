"""Reads a whole table with DuckDB's PostgreSQL scanner, batch by batch, and drops it: rows, wall ms, CPU ms, peak MB."""

import resource
import sys
import time

import duckdb
from duckdb_extensions import import_extension

port, threads, table = sys.argv[1:]
connection = duckdb.connect(config={"threads": int(threads)})
import_extension("postgres_scanner", con=connection)
connection.load_extension("postgres_scanner")
connection.execute(
    f"ATTACH 'host=localhost port={port} dbname=postgres user=reader password=reader' AS server (TYPE postgres, READ_ONLY)"
)
begin = time.perf_counter()
rows = 0
for batch in connection.execute(f"SELECT * FROM server.public.{table}").fetch_record_batch(8192):
    rows += batch.num_rows
wall = (time.perf_counter() - begin) * 1e3
used = resource.getrusage(resource.RUSAGE_SELF)
print(rows, wall, (used.ru_utime + used.ru_stime) * 1e3, used.ru_maxrss / 1024)
