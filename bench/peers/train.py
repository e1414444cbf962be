"""Trains the flights model once more, as fixtures/make/flights.py does, because lleaves reads LightGBM's own format; compiles it."""
import sys

import common
import lightgbm as lgb
import lleaves
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

DATA, TARGET = sys.argv[1], sys.argv[2]
SEED = 2013

parts = []
for path in common.files(DATA):
    table = pq.ParquetFile(path).read()
    parts.append(table.append_column("month", pa.array([common.month_of(path)] * table.num_rows)))
flights = pa.concat_tables(parts).sort_by("flight_id")
arrived = flights.filter(flights["arr_delay"].is_valid())
features = np.column_stack([arrived[name].to_numpy().astype(np.float64) for name in common.FEATURES])
rng = np.random.default_rng(SEED)
for name in ("dep_delay", "air_time"):
    features[rng.random(len(features)) < 0.05, common.FEATURES.index(name)] = np.nan
model = lgb.LGBMRegressor(n_estimators=200, num_leaves=63, learning_rate=0.1, random_state=SEED,
                          deterministic=True, force_row_wise=True, n_jobs=1, verbose=-1)
model.fit(features, arrived["arr_delay"].to_numpy())
model.booster_.save_model(f"{TARGET}.txt")
lleaves.Model(model_file=f"{TARGET}.txt").compile(cache=f"{TARGET}.lleaves")
