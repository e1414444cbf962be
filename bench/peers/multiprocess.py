"""By hand: a pool of processes, each with ONNX Runtime in one thread and a file at a time."""
import multiprocessing
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import common

DATA, MODEL, TARGET, PROCESSES = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])


def start() -> None:
    global predict
    loaded = common.session(MODEL)
    predict = lambda rows: loaded.run(None, {"input": rows})[0][:, 0]


def score(path: str) -> None:
    common.score_file(path, f"{TARGET}/{Path(path).parent.name}-{Path(path).name}", predict)


if __name__ == "__main__":
    Path(TARGET).mkdir(parents=True, exist_ok=True)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(PROCESSES, context, start) as pool:
        list(pool.map(score, common.files(DATA)))
