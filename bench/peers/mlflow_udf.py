"""MLflow: the model logged with its signature and read as a UDF of Spark, local, as its documentation scores batches."""
import logging
import shutil
import sys

import common
import mlflow
import numpy as np
import onnx
import pandas as pd
from pyspark.sql.functions import col, struct

DATA, MODEL, TARGET, PROCESSES = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
MODE = sys.argv[5] if len(sys.argv) > 5 else "errorifexists"  # Spark's own default

logging.getLogger("mlflow").setLevel(logging.ERROR)

logged = f"{TARGET}-model"
shutil.rmtree(logged, ignore_errors=True)
mlflow.onnx.save_model(
    onnx.load(MODEL),
    logged,
    signature=mlflow.models.infer_signature(
        pd.DataFrame(np.zeros((1, len(common.FEATURES)), np.float32), columns=common.FEATURES)),
    onnx_session_options={"intra_op_num_threads": 1, "inter_op_num_threads": 1},
    onnx_execution_providers=["CPUExecutionProvider"],
    pip_requirements=[],
)
spark = common.spark(PROCESSES)
predict = mlflow.pyfunc.spark_udf(spark, logged, result_type="float", env_manager="local")
# The signature says float for every feature: MLflow refuses a frame whose columns have other types.
features = [col(name).cast("float").alias(name) for name in common.FEATURES]
(
    spark.read.parquet(DATA)
    .select(*common.KEPT, predict(struct(*features)).alias("delay_minutes"))
    .write.mode(MODE).parquet(TARGET)
)
