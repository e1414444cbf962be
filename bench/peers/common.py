"""What the peers share: the columns, the model in one thread, and a file scored batch by batch."""
import os
import re
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pyarrow as pa
import pyarrow.parquet as pq

FEATURES = ["month", "day", "weekday", "hour", "minute", "dep_delay", "distance", "air_time",
            "carrier_code", "origin_code", "dest_code", "sched_arr_time"]
KEPT = ["flight_id", "carrier"]
OWN = [name for name in FEATURES if name != "month"]  # the month is in the folder's name
BATCH = 16_384


def spark(processes: int):
    """A session of Spark on this machine alone."""
    from pyspark.sql import SparkSession

    os.environ["PYSPARK_PYTHON"] = sys.executable
    started = (
        SparkSession.builder.master(f"local[{processes}]")
        .config("spark.sql.execution.arrow.maxRecordsPerBatch", BATCH)
        .config("spark.driver.memory", "4g")
        .config("spark.ui.enabled", "false")
        .getOrCreate()
    )
    started.sparkContext.setLogLevel("ERROR")
    return started


def session(model: str) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def matrix(batch, month) -> np.ndarray:
    """The [rows, 12] input of an Arrow batch; `month` is one number or an array."""
    out = np.empty((batch.num_rows, len(FEATURES)), dtype=np.float32)
    for place, name in enumerate(FEATURES):
        out[:, place] = month if name == "month" else batch.column(name).to_numpy(zero_copy_only=False)
    return out


def files(folder: str) -> list[str]:
    return sorted(str(path) for path in Path(folder).glob("month=*/*.parquet"))


def month_of(path: str) -> int:
    return int(re.search(r"month=(\d+)", path).group(1))


def score_file(path: str, target: str, predict) -> None:
    """Reads a file, scores it in batches, and writes what is kept with the predictions."""
    writer = None
    for batch in pq.ParquetFile(path).iter_batches(BATCH, columns=KEPT + OWN):
        delays = predict(matrix(batch, month_of(path)))
        out = pa.table({**{name: batch.column(name) for name in KEPT},
                        "delay_minutes": pa.array(delays, pa.float32())})
        if writer is None:
            writer = pq.ParquetWriter(target, out.schema, compression="zstd")
        writer.write_table(out)
    writer.close()
