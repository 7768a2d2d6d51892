#!/bin/bash
#SBATCH --job-name=r1
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=64
#SBATCH --time=24:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --signal=B:TERM@120
#
# sbatch examples/slurm.sh RECIPE RUN_FOLDER
#
# Both paths are on a disk that all nodes see, and r1kit is installed on it. A job that is preempted,
# or whose node fails, goes back to the queue and resumes from its last checkpoint; one that reaches
# its time limit puts itself back.
set -euo pipefail
recipe=$1 out=$2
first=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
trap 'scontrol requeue "$SLURM_JOB_ID"' TERM

srun --kill-on-bad-exit=1 torchrun \
  --nnodes "$SLURM_NNODES" --nproc-per-node 8 \
  --rdzv-backend c10d --rdzv-id "$SLURM_JOB_ID-${SLURM_RESTART_COUNT:-0}" --rdzv-endpoint "$first:29500" \
  -m r1kit run "$recipe" --out "$out" &
wait $!
