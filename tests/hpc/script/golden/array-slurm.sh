#!/bin/bash -l
#SBATCH --job-name=parts-array-3-h2o-0cd55b8811ff8f0b5d62
#SBATCH --comment=h2o/3/evaluate/parts/array.0
#SBATCH --open-mode=append
#SBATCH --nodes=2
#SBATCH --ntasks=8
#SBATCH --ntasks-per-node=4
#SBATCH --cpus-per-task=3
#SBATCH --partition=cpu
#SBATCH --time=01:30:00
# h2o/3/evaluate/parts/array.0: 1000 jobs, each with a script and a folder of its own

number="$SLURM_ARRAY_TASK_ID"
step='/work/gz00/u'"'"'s runs/h2o/3/evaluate'
mapfile -d '' -s "$number" -n 1 -t element < '/work/gz00/u'"'"'s runs/h2o/3/evaluate/0.array.job/elements' && [ -n "${element-}" ] || exit 77
cd "$step/$element" || exit 77
exec bash ./job.sh >> output.log 2>&1
