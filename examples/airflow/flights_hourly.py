"""Scores what has come since the last hour."""

import pendulum
from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import dag


@dag(schedule="17 * * * *", start_date=pendulum.datetime(2013, 6, 1, tz="UTC"), catchup=False)
def flights_hourly():
    # No retries: the next hour does what this one could not.
    BashOperator(
        task_id="score",
        bash_command="scoreline run /srv/scoreline/jobs/flights.yaml --quiet --skip-unchanged",
        skip_on_exit_code=99,
        retries=0,
    )


flights_hourly()
