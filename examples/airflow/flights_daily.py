"""Scores a day of flights: plan, shards side by side, publish, report."""

import json
import subprocess
from datetime import timedelta

import pendulum
from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import CronDataIntervalTimetable, dag, task
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException

JOB = "/srv/scoreline/jobs/daily.yaml"
OUTPUT = "/srv/scoreline/out/daily"
SHARDS = 4


def scoreline(*args):
    """Runs a command and returns what it says; its errors are in the log of the task."""
    command = ["scoreline", *args, "--json", "--quiet"]
    ran = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    code = ran.returncode
    if code == 0:
        return json.loads(ran.stdout)
    if code == 99:
        raise AirflowSkipException("nothing to do")
    # The environment, a conflict, input that changed, a signal: another try may mend it.
    if code in (6, 7, 8) or code > 128 or code < 0:
        raise AirflowException(f"exit code {code}")
    raise AirflowFailException(f"exit code {code}: a person has to look, no retry mends it")


@dag(
    # With data intervals, the run after midnight has the day before as its {{ ds }}.
    schedule=CronDataIntervalTimetable("30 2 * * *", timezone="UTC"),
    start_date=pendulum.datetime(2013, 6, 1, tz="UTC"),
    catchup=True,
    max_active_runs=1,
    default_args={"retries": 3, "retry_delay": timedelta(minutes=5)},
)
def flights_daily():
    @task
    def plan(day):
        count = min(SHARDS, scoreline("plan", JOB, "--hash", "--date", day)["toDo"])
        return [f"{index}/{count}" for index in range(count)]

    @task
    def shard(share, day):
        return scoreline("run", JOB, "--shard", share, "--date", day)["tasks"]

    # Also where no task was to do, and so no shard.
    @task(trigger_rule="none_failed")
    def publish(day):
        return scoreline("run", JOB, "--skip-unchanged", "--date", day)

    # The last line of a BashOperator is its XCom: the path of the page.
    report = BashOperator(
        task_id="report",
        bash_command="scoreline report " + OUTPUT + " {{ ti.xcom_pull('publish')['runId'] }}",
    )

    day = "{{ ds }}"
    shard.partial(day=day).expand(share=plan(day)) >> publish(day) >> report


flights_daily()
