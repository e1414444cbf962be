#!/bin/sh
#SBATCH --job-name=flights
#SBATCH --array=0-7
#SBATCH --cpus-per-task=4
exec scoreline run jobs/flights.yaml --quiet --workers "$SLURM_CPUS_PER_TASK" --shard "$SLURM_ARRAY_TASK_ID/8"
