"""Prints what a scheduler did: the tasks of every run of a DAG, with their states, tries and XComs."""

import json
import sqlite3
import sys

connection = sqlite3.connect(f"file:{sys.argv[1]}/airflow.db?mode=ro", uri=True)
runs = connection.execute(
    "SELECT run_id, state, date(logical_date) FROM dag_run WHERE dag_id = ? ORDER BY run_after",
    sys.argv[2:3],
).fetchall()
tasks = connection.execute(
    "SELECT run_id, task_id, map_index, state, try_number FROM task_instance"
    " WHERE dag_id = ? ORDER BY task_id, map_index",
    sys.argv[2:3],
).fetchall()
values = connection.execute(
    "SELECT run_id, task_id, map_index, value FROM xcom WHERE dag_id = ? AND key = 'return_value'",
    sys.argv[2:3],
).fetchall()


def name(task, index):
    return task if index < 0 else f"{task}[{index}]"


def parsed(value):
    while isinstance(value, (str, bytes)):
        try:
            value = json.loads(value)
        except ValueError:
            break
    return value


print(
    json.dumps(
        [
            {
                "run": run,
                "day": day,
                "state": state,
                "tasks": {
                    name(task, index): [task_state, tries]
                    for of, task, index, task_state, tries in tasks
                    if of == run
                },
                "said": {name(task, index): parsed(value) for of, task, index, value in values if of == run},
            }
            for run, state, day in runs
        ]
    )
)
