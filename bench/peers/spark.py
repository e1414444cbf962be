"""PySpark, local: read, mapInArrow with ONNX Runtime, write."""
import sys

import common
import pyarrow as pa

DATA, MODEL, TARGET, PROCESSES = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
MODE = sys.argv[5] if len(sys.argv) > 5 else "errorifexists"  # Spark's own default


def score(batches):
    loaded = common.session(MODEL)
    for batch in batches:
        month = batch.column("month").to_numpy(zero_copy_only=False)
        delays = loaded.run(None, {"input": common.matrix(batch, month)})[0][:, 0]
        columns = [batch.column(name) for name in common.KEPT]
        yield pa.RecordBatch.from_arrays([*columns, pa.array(delays)], [*common.KEPT, "delay_minutes"])


spark = common.spark(PROCESSES)
(
    spark.read.parquet(DATA)
    .select(*common.KEPT, *common.FEATURES)
    .mapInArrow(score, "flight_id bigint, carrier string, delay_minutes float")
    .write.mode(MODE).parquet(TARGET)
)
