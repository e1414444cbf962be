"""Scores the flights with Python alone and compares what scoreline published, bit for bit.

usage: check.py INPUT MODEL SNAPSHOT FEATURES
Prints one line of JSON: rows compared, rows that differ, the types that pyarrow sees.
"""
import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pyarrow.parquet as pq

source, model, snapshot, features = sys.argv[1:]
options = ort.SessionOptions()
options.intra_op_num_threads = 1
options.inter_op_num_threads = 1
options.log_severity_level = 3
session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])

rows = differ = 0
types = {}
for folder in sorted(Path(source).glob("month=*")):
    table = pq.read_table(folder / "flights.parquet", partitioning=None)
    keep = ~table["cancelled"].to_numpy(zero_copy_only=False)
    month = np.full(len(table), float(folder.name.split("=")[1]), dtype=np.float32)
    columns = [
        month if name == "month" else table[name].to_numpy(zero_copy_only=False).astype(np.float32)
        for name in features.split(",")
    ]
    matrix = np.stack(columns, axis=1)[keep]
    expected = session.run(["variable"], {"input": matrix})[0].reshape(-1)
    parts = sorted((Path(snapshot) / "data" / folder.name).glob("*.parquet"))
    published = pq.read_table(parts, partitioning=None)
    types = {field.name: str(field.type) for field in published.schema}
    ids = table["flight_id"].to_numpy()[keep]
    assert published["flight_id"].to_numpy().tolist() == ids.tolist(), "keys or order differ"
    assert published["carrier"].to_pylist() == table["carrier"].filter(keep).to_pylist()
    got = published["delay_minutes"].to_numpy()
    rows += len(got)
    differ += int((got.view(np.int32) != expected.view(np.int32)).sum())
print(json.dumps({"rows": rows, "differ": differ, "types": types}))
