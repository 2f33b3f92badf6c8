#!/bin/bash -l
#PBS -N parts-array-3-h2o-0cd55b8811ff8f0b5d62
#PBS -j oe
#PBS -l select=2:ncpus=12:mpiprocs=4:ompthreads=3
#PBS -l place=scatter
#PBS -q cpu
#PBS -l walltime=01:30:00
# h2o/3/evaluate/parts/array.0: 1000 jobs, each with a script and a folder of its own

number="$PBS_ARRAY_INDEX"
step='/work/gz00/u'"'"'s runs/h2o/3/evaluate'
mapfile -d '' -s "$number" -n 1 -t element < '/work/gz00/u'"'"'s runs/h2o/3/evaluate/0.array.job/elements' && [ -n "${element-}" ] || exit 77
cd "$step/$element" || exit 77
exec bash ./job.sh
