"""Writes expected.parquet: what training says of the rows of a fixture, for `scoreline check`.

    python expected.py FOLDER MODEL expected.parquet

Put your own model and its `predict` into `scores`; here it is the flights model, run by Python's onnxruntime.
"""
import sys

import numpy as np
import onnxruntime
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

KEY = "flight_id"  # input.key of the job
COLUMN = "delay_minutes"  # the prediction, as output.columns of the job names it
ROWS = (ds.field("month") == 2) & ~ds.field("cancelled")  # the fixture's selection, and input.where
FEATURES = ["month", "day", "weekday", "hour", "minute", "dep_delay", "distance", "air_time",
            "carrier_code", "origin_code", "dest_code", "sched_arr_time"]


def scores(rows: pa.Table, model: str) -> np.ndarray:
    matrix = np.column_stack([rows[name].to_numpy().astype(np.float64) for name in FEATURES])
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # with more, sums of trees come in another order: other last bits
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    (output,) = session.run(None, {session.get_inputs()[0].name: matrix.astype(np.float32)})
    return output.reshape(-1)


def main(data: str, model: str, target: str) -> None:
    rows = ds.dataset(data, partitioning="hive").to_table(filter=ROWS)
    pq.write_table(pa.table({KEY: rows[KEY], COLUMN: scores(rows, model)}), target, compression="zstd")


if __name__ == "__main__":
    main(*sys.argv[1:4])
