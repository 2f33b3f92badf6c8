#!/bin/bash -l
#SBATCH --job-name=bitcount-3-h2o-1a51a13076ab2b2e125b
#SBATCH --comment=h2o/3/evaluate/walker-2/bitcount.0
#SBATCH --open-mode=append
#SBATCH --nodes=2
#SBATCH --ntasks=8
#SBATCH --ntasks-per-node=4
#SBATCH --cpus-per-task=3
#SBATCH --partition=gpu
#SBATCH --account=gz01
#SBATCH --time=01:30:00
#SBATCH --mem=0
#SBATCH --qos=urgent
#SBATCH --gpus-per-task=1
#SBATCH --gpu-bind=closest
#SBATCH --gres=tmp:10G,license:1,nvme:1
#SBATCH --reservation=workshop
#SBATCH --constraint='[rack1|rack2]'
#SBATCH --exclusive
#SBATCH --mail-user=me@example.org
#SBATCH --mail-type=END,FAIL
#SBATCH --export=NONE,SITE=kobe
#SBATCH --licenses=ansys:2
#SBATCH --qpu=ibm_kobe
#SBATCH --nice=10
# h2o/3/evaluate/walker-2/bitcount.0

if [ "${1-}" = rank ]; then
  export OMP_NUM_THREADS=3
  export GREETING='it'"'"'s $HOME'
  export EMPTY=''
  export LINES='one
two'
  export QCSC_JOB_KEY=h2o/3/evaluate/walker-2/bitcount.0
  export QCSC_RANKS=8
  cd '/work/my runs/h2o' || exit 77
  { export ROCR_VISIBLE_DEVICES=$SLURM_LOCALID
  } || { code=$?; echo "rank_commands[0] failed" >&2; exit $code; }
  exec '/opt/bit count' 10 'it'"'"'s' -x < /dev/null
fi

folder='/work/my runs/h2o'
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
export SLURM_EXPORT_ENV=ALL
{ ulimit -s unlimited
} || finish $? 'pre_commands[0]'
{ export SCRATCH="$TMPDIR/qcsc"  # expanded on the node
} || finish $? 'pre_commands[1]'
module purge || finish $? module_purge
module load gcc/12 || finish $? modules
module load mpi/4.1 || finish $? modules
. /opt/spack/share/setup-env.sh || finish $? spack_setup
spack load 'hdf5 +mpi' || finish $? spack_modules
if srun --nodes=2 --ntasks=8 --ntasks-per-node=4 --cpus-per-task=3 --gpus-per-task=1 --gpu-bind=closest --mpi=pmi2 '--cpu-bind=map_cpu:0 1' bash "$folder/job.sh" rank < /dev/null; then
  finish 0
else
  finish $?
fi
