"""Reads a published folder with readers that know Hive partitions, and prints the rows of each in one form."""
import json
import sys

import duckdb
import pandas
import polars
import pyarrow.dataset

root, columns = sys.argv[1], sys.argv[2].split(",")


def rows(frame):
    values = [[None if v is None or v != v else str(v) for v in row] for row in frame]
    return sorted(values, key=str)


files = f"{root}/**/*.parquet"
quoted = ", ".join(f'"{name}"' for name in columns)
read = {
    "pandas": lambda: pandas.read_parquet(root)[columns].astype(object).values.tolist(),
    "polars": lambda: polars.read_parquet(files, hive_partitioning=True).select(columns).rows(),
    "duckdb": lambda: duckdb.sql(
        f"SELECT {quoted} FROM read_parquet('{files}', hive_partitioning = true)"
    ).fetchall(),
    "pyarrow": lambda: [
        tuple(row[name] for name in columns)
        for row in pyarrow.dataset.dataset(root, partitioning="hive").to_table().to_pylist()
    ],
}
print(json.dumps({reader: rows(read[reader]()) for reader in sys.argv[3:]}))
