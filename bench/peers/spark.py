"""PySpark, local: read, mapInArrow with ONNX Runtime, write."""
import os
import sys

import common
import pyarrow as pa
from pyspark.sql import SparkSession

DATA, MODEL, TARGET, PROCESSES = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
MODE = sys.argv[5] if len(sys.argv) > 5 else "errorifexists"  # Spark's own default

os.environ["PYSPARK_PYTHON"] = sys.executable


def score(batches):
    loaded = common.session(MODEL)
    for batch in batches:
        month = batch.column("month").to_numpy(zero_copy_only=False)
        delays = loaded.run(None, {"input": common.matrix(batch, month)})[0][:, 0]
        columns = [batch.column(name) for name in common.KEPT]
        yield pa.RecordBatch.from_arrays([*columns, pa.array(delays)], [*common.KEPT, "delay_minutes"])


spark = (
    SparkSession.builder.master(f"local[{PROCESSES}]")
    .config("spark.sql.execution.arrow.maxRecordsPerBatch", common.BATCH)
    .config("spark.driver.memory", "4g")
    .config("spark.ui.enabled", "false")
    .getOrCreate()
)
spark.sparkContext.setLogLevel("ERROR")
(
    spark.read.parquet(DATA)
    .select(*common.KEPT, *common.FEATURES)
    .mapInArrow(score, "flight_id bigint, carrier string, delay_minutes float")
    .write.mode(MODE).parquet(TARGET)
)
