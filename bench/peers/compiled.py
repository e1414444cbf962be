"""lleaves: the same pool of processes, each with the model compiled by LLVM (before, by train.py) in one thread."""
import multiprocessing
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import common
import lleaves

DATA, MODEL, TARGET, PROCESSES = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])


def start() -> None:
    global predict
    loaded = lleaves.Model(model_file=f"{MODEL}.txt")
    loaded.compile(cache=f"{MODEL}.lleaves")
    predict = lambda rows: loaded.predict(rows, n_jobs=1)


def score(path: str) -> None:
    common.score_file(path, f"{TARGET}/{Path(path).parent.name}-{Path(path).name}", predict)


if __name__ == "__main__":
    Path(TARGET).mkdir(parents=True, exist_ok=True)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(PROCESSES, context, start) as pool:
        list(pool.map(score, common.files(DATA)))
