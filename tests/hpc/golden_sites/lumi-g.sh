#!/bin/bash -l
#SBATCH --job-name=program-3-h2o-b1f55572b60f274d042d
#SBATCH --comment=h2o/3/evaluate/program.0
#SBATCH --open-mode=append
#SBATCH --nodes=2
#SBATCH --ntasks=16
#SBATCH --ntasks-per-node=8
#SBATCH --cpus-per-task=6
#SBATCH --partition=standard-g
#SBATCH --account=PROJECT
#SBATCH --time=12:00:00
#SBATCH --gpus-per-node=8
# h2o/3/evaluate/program.0

if [ "${1-}" = rank ]; then
  export OMP_NUM_THREADS=6
  export MPICH_GPU_SUPPORT_ENABLED=1
  export QCSC_JOB_KEY=h2o/3/evaluate/program.0
  export QCSC_RANKS=16
  cd /work/h2o || exit 77
  { export ROCR_VISIBLE_DEVICES=$SLURM_LOCALID
  } || { code=$?; echo "rank_commands[0] failed" >&2; exit $code; }
  exec ./program < /dev/null
fi

folder=/work/h2o
cd "$folder" || exit 77
unwritable() {
  echo "$HOSTNAME cannot write $folder: $1" >&2
  exit 78
}
me="$SLURM_JOB_ID"
if ! said=$(ln -sn "$me" fence 2>&1); then
  owner=$(readlink fence)
  [ -n "$owner" ] || unwritable "$said"
  if [ "$owner" != "$me" ]; then
    echo "this work belongs to job $owner: $me stops" >&2
    exit 76
  fi
fi
rm -f exit.json
{ : > started; } 2> /dev/null || unwritable started
began=$(date +%s.%N)
killed() {
  local name count
  while read -r name count; do [ "$name" = oom_kill ] && echo "$count"; done < /proc/vmstat
  return 0
}
before=$(killed 2> /dev/null)
finish() {
  local after
  after=$(killed 2> /dev/null)
  find "$folder" -xdev \( -type f -o -type d \) -exec sync -- {} + || :
  printf '{"job":"%s","restarts":%s,"exit_code":%d,"fault":"%s","oom_kills":%d,"started":%s,"ended":%s}\n' "$me" "${SLURM_RESTART_COUNT:-0}" "$1" "${2-}" $((${after:-0} - ${before:-0})) "$began" "$(date +%s.%N)" >| "$folder/.exit.$me" || unwritable exit.json
  sync -- "$folder/.exit.$me" || :
  mv -f "$folder/.exit.$me" "$folder/exit.json" || unwritable exit.json
  sync -- "$folder" || :
  exit "$1"
}
if srun --nodes=2 --ntasks=16 --ntasks-per-node=8 --cpus-per-task=6 --cpu-bind=mask_cpu:7e000000000000,7e00000000000000,7e0000,7e000000,7e,7e00,7e00000000,7e0000000000 bash "$folder/job.sh" rank < /dev/null; then
  finish 0
else
  finish $?
fi
