"""Ray Data: read_parquet, map_batches on a pool of actors, write_parquet."""
import sys

import common
import numpy as np
import ray

DATA, MODEL, TARGET, PROCESSES = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
MODE = ray.data.SaveMode(sys.argv[5] if len(sys.argv) > 5 else "append")  # Ray's own default


class Scorer:
    def __init__(self) -> None:
        self.session = common.session(MODEL)

    def __call__(self, batch):
        month = batch.column("month").to_numpy(zero_copy_only=False).astype(np.float32)
        delays = self.session.run(None, {"input": common.matrix(batch, month)})[0][:, 0]
        return batch.select(common.KEPT).append_column("delay_minutes", [delays])


ray.init(num_cpus=PROCESSES, include_dashboard=False, logging_level="error", log_to_driver=False)
ray.data.DataContext.get_current().enable_progress_bars = False
(
    ray.data.read_parquet(common.files(DATA), columns=common.KEPT + common.FEATURES,
                          partitioning=ray.data.datasource.Partitioning("hive"))
    # With a whole core for each actor none is left for those that read, and nothing ever begins.
    .map_batches(Scorer, batch_size=common.BATCH, batch_format="pyarrow", num_cpus=0.5,
                 compute=ray.data.ActorPoolStrategy(size=PROCESSES))
    .write_parquet(TARGET, mode=MODE)
)
