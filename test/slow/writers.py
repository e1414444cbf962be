"""Writes files as each writer lays them out by default, and compares what scoreline published of one.

usage: writers.py write FOLDER         every file of CASES, as FOLDER/NAME/data.parquet; prints the rows of its row groups
       writers.py check SOURCE MODEL PUBLISHED
The second reads the source with pyarrow, scores it with ONNX Runtime, and prints one line of JSON: rows, rows that differ.
"""
import json
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq


def table(rows: int, lists: bool) -> pa.Table:
    """Whole numbers in every column: their sum is exact in float32."""
    i = np.arange(rows)
    columns = {
        "id": pa.array(i),
        "a": pa.array((i % 1000).astype(np.float32)),
        "b": pa.array((i // 1000 % 1000).astype(np.float64)),
        "t": pa.array(i * 7 % 100_003).cast(pa.string()),
    }
    if lists:
        values = (i[:, None] + np.arange(4)) % 10
        fixed = pa.FixedSizeListArray.from_arrays(pa.array(values.astype(np.float32).ravel()), 4)
        columns["v"] = fixed.cast(pa.list_(pa.float32()))
    return pa.table(columns)


def with_pandas(data, path):
    data.to_pandas().to_parquet(path)


def with_pyarrow(data, path):
    pq.write_table(data, path)


def with_polars(data, path):
    import polars

    polars.from_arrow(data).write_parquet(path)


def with_duckdb(data, path):
    import duckdb

    duckdb.sql(f"COPY (FROM data) TO '{path}'")


def with_fastparquet(data, path):
    import fastparquet

    fastparquet.write(str(path), data.to_pandas())


def like_spark(data, path):
    """parquet-java's layout: a row group of 128 MB, pages of 20,000 rows at most."""
    bytes_per_row = data.nbytes / len(data)
    group = int(128 * 2**20 / bytes_per_row)
    pq.write_table(data, path, row_group_size=group, max_rows_per_page=20_000, version="1.0")


def in_one_row_group(data, path):
    pq.write_table(data, path, row_group_size=len(data))


CASES = {
    "pandas-300k": (with_pandas, 300_000, True),
    "pyarrow-300k": (with_pyarrow, 300_000, True),
    "polars-300k": (with_polars, 300_000, True),
    "duckdb-300k": (with_duckdb, 300_000, True),
    "fastparquet-300k": (with_fastparquet, 300_000, False),
    "pandas-3m": (with_pandas, 3_000_000, True),
    "polars-3m": (with_polars, 3_000_000, True),
    "duckdb-3m": (with_duckdb, 3_000_000, True),
    "fastparquet-3m": (with_fastparquet, 3_000_000, False),
    "spark-3m": (like_spark, 3_000_000, True),
    "one-8m": (in_one_row_group, 8_000_000, False),
}


def write(folder: Path) -> dict:
    groups = {}
    for name, (writer, rows, lists) in CASES.items():
        path = folder / name / "data.parquet"
        path.parent.mkdir()
        writer(table(rows, lists), path)
        metadata = pq.ParquetFile(path).metadata
        groups[name] = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
    return groups


def check(source: str, model: str, published: str) -> dict:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    wanted = [one.name for one in session.get_inputs()]
    parts = sorted(Path(published).glob("*.parquet"))
    scored = pa.concat_tables([pq.read_table(part, partitioning=None) for part in parts])
    rows = differ = inexact = 0
    for batch in pq.ParquetFile(source).iter_batches(65_536, columns=["id", *wanted]):
        feeds = {name: feed(batch[name]) for name in wanted}
        expected = session.run(["y"], feeds)[0].reshape(-1)
        mine = scored.slice(rows, len(batch))
        differ += len(batch) - int(
            np.sum(
                (mine["id"].to_numpy() == batch["id"].to_numpy())
                & (mine["y"].to_numpy().view(np.int32) == expected.view(np.int32))
            )
        )
        i = batch["id"].to_numpy()
        exact = sum(closed_form(i, name) for name in wanted)
        inexact += int(np.sum(mine["y"].to_numpy().astype(np.int64) != exact))
        rows += len(batch)
    return {"rows": rows, "published": len(scored), "differ": differ, "inexact": inexact}


def feed(column):
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        return column.to_numpy(zero_copy_only=False).astype(object).reshape(-1, 1)
    if pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
        return column.flatten().to_numpy().astype(np.float32).reshape(-1, 4)
    return column.to_numpy(zero_copy_only=False).astype(np.float32).reshape(-1, 1)


def closed_form(i, name):
    if name == "v":
        return sum((i + k) % 10 for k in range(4))
    return {"a": i % 1000, "b": i // 1000 % 1000, "t": i * 7 % 100_003}[name]


if __name__ == "__main__":
    answer = write(Path(sys.argv[2])) if sys.argv[1] == "write" else check(*sys.argv[2:])
    print(json.dumps(answer))
