#!/bin/bash -l
#PJM --name q0cd55b8811ff8f0b5d62
#PJM -j
#PJM -L "node=2"
#PJM --mpi "proc=8,max-proc-per-node=4"
#PJM -L "rscgrp=cpu"
#PJM -L "elapse=01:30:00"
# h2o/3/evaluate/parts/array.0: 1000 jobs, each with a script and a folder of its own

number="$PJM_BULKNUM"
step='/work/gz00/u'"'"'s runs/h2o/3/evaluate'
mapfile -d '' -s "$number" -n 1 -t element < '/work/gz00/u'"'"'s runs/h2o/3/evaluate/0.array.job/elements' && [ -n "${element-}" ] || exit 77
cd "$step/$element" || exit 77
exec bash ./job.sh
