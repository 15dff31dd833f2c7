"""Writes the data of the federation that real clients are run against.

usage: tables.py ROOT      ROOT/north, ROOT/south: a directory for each site, with one for each source

`north.lab.types` has a column of every type that a file can hold: its first row the least value, its second the greatest or an
odd one, its third NULL.
"""

import datetime
import decimal
import pathlib
import sys

import pyarrow as pa
import pyarrow.parquet as pq

UTC = datetime.timezone.utc
DAY = datetime.date
MOMENT = datetime.datetime


def columns():
    d = decimal.Decimal
    early, late = MOMENT(1, 1, 1), MOMENT(9999, 12, 31, 23, 59, 59, 999000)
    yield "boolean", pa.bool_(), False, True
    for bits in (8, 16, 32, 64):
        yield f"int{bits}", getattr(pa, f"int{bits}")(), -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    for bits in (8, 16, 32, 64):
        yield f"uint{bits}", getattr(pa, f"uint{bits}")(), 0, 2**bits - 1
    yield "float16", pa.float16(), -1.5, float("inf")
    yield "float32", pa.float32(), -0.0, float("nan")
    yield "float64", pa.float64(), -1.7976931348623157e308, 5e-324
    yield "decimal_9_2", pa.decimal128(9, 2), d("-9999999.99"), d("9999999.99")
    yield "decimal_38_10", pa.decimal128(38, 10), d("-9" * 1 + "9" * 27 + ".9999999999"), d("0.0000000001")
    yield "decimal_76_20", pa.decimal256(76, 20), d("-" + "9" * 56 + "." + "9" * 20), d("1.5")
    yield "utf8", pa.string(), "", "naïve 北京 𠮷 \"quoted\" O'Brien\n2"
    yield "large_utf8", pa.large_string(), "", "x" * 40
    yield "dictionary", pa.dictionary(pa.int32(), pa.string()), "red", "green"
    yield "binary", pa.binary(), b"", b"\x00\xff\x10"
    yield "large_binary", pa.large_binary(), b"", b"\x00\xff"
    yield "fixed_binary_4", pa.binary(4), b"\x00\x00\x00\x00", b"\xff\xfe\xfd\xfc"
    yield "date32", pa.date32(), DAY(1, 1, 1), DAY(9999, 12, 31)
    yield "date64", pa.date64(), DAY(1970, 1, 1), DAY(2038, 1, 19)
    yield "time32_ms", pa.time32("ms"), datetime.time(0), datetime.time(23, 59, 59, 999000)
    yield "time64_us", pa.time64("us"), datetime.time(0), datetime.time(23, 59, 59, 999999)
    yield "timestamp_ms", pa.timestamp("ms"), early, late
    yield "timestamp_us", pa.timestamp("us"), early, late
    yield "timestamp_ns", pa.timestamp("ns"), MOMENT(1700, 1, 1), MOMENT(2262, 4, 11)
    yield "timestamp_us_utc", pa.timestamp("us", "UTC"), MOMENT(1900, 1, 1, tzinfo=UTC), MOMENT(2100, 6, 1, tzinfo=UTC)
    shanghai = pa.timestamp("ms", "Asia/Shanghai")
    yield "timestamp_ms_shanghai", shanghai, MOMENT(2024, 3, 10, 1, tzinfo=UTC), MOMENT(2024, 7, 1, tzinfo=UTC)
    yield "duration_us", pa.duration("us"), datetime.timedelta(-1), datetime.timedelta(hours=36, microseconds=1)
    yield "list", pa.list_(pa.int32()), [], [1, None, 3]
    yield "large_list", pa.large_list(pa.string()), [], ["a", None]
    yield "fixed_list_2", pa.list_(pa.int32(), 2), [1, 2], [None, 4]
    yield "struct", pa.struct([("x", pa.int64()), ("y", pa.string())]), {"x": 1, "y": "a"}, {"x": None, "y": None}
    yield "map", pa.map_(pa.string(), pa.int64()), [], [("a", 1), ("b", None)]


def types():
    given = list(columns())
    arrays = [pa.array([1, 2, 3], pa.int32())]
    arrays += [pa.array([least, greatest, None], of) for _, of, least, greatest in given]
    fields = [pa.field("id", pa.int32(), nullable=False)] + [pa.field(name, of) for name, of, *_ in given]
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields))


def numbers(rows):
    series = range(rows)
    return pa.table({"n": pa.array(series, pa.int64()), "label": pa.array([f"row number {n}" for n in series])})


def people(first, count, region):
    series = range(first, first + count)
    return pa.table(
        {
            "id_no": pa.array(series, pa.int64()),
            "phone": pa.array([f"555-{n:04}" for n in series]),
            "region": pa.array([region if n % 4 else "west" for n in series]),
            "born": pa.array([DAY(1950 + n % 60, 1 + n % 12, 1 + n % 28) for n in series]),
        }
    )


def main():
    root = pathlib.Path(sys.argv[1])
    for place, table in [
        ("north/lab/types", types()),
        ("north/lab/numbers", numbers(1_000_000)),
        ("north/civil/people", people(1, 200, "north")),
        ("south/civil/people", people(201, 100, "south")),
    ]:
        path = root / f"{place}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, path, store_schema=True, coerce_timestamps=None, row_group_size=100_000)


if __name__ == "__main__":
    main()
