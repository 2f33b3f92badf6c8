#!/bin/bash -l
#PBS -N bitcount-3-h2o-1a51a13076ab2b2e125b
#PBS -j oe
#PBS -l select=2:ncpus=12:mpiprocs=4:ompthreads=3:mem=64GB:ngpus=4:model=a100:ssd=true
#PBS -l place=scatter:excl
#PBS -q regular-c
#PBS -A gz00
#PBS -l walltime=01:30:00
#PBS -l qpu=ibm_kobe
#PBS -M me@example.org
#PBS -m bea
#PBS -v RTYPE=rt_HF
#PBS -l ansys=2
#PBS -l qsim=1
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
  exec '/opt/bit count' 10 'it'"'"'s' -x < /dev/null
fi

folder='/work/my runs/h2o'
cd "$folder" || exit 77
unwritable() {
  echo "$HOSTNAME cannot write $folder: $1" >&2
  exit 78
}
{ : >> output.log; } 2> /dev/null || unwritable output.log
exec >> output.log 2>&1
me="$PBS_JOBID"
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
  printf '{"job":"%s","restarts":%s,"exit_code":%d,"fault":"%s","oom_kills":%d,"started":%s,"ended":%s}\n' "$me" null "$1" "${2-}" $((${after:-0} - ${before:-0})) "$began" "$(date +%s.%N)" >| "$folder/.exit.$me" || unwritable exit.json
  sync -- "$folder/.exit.$me" || :
  mv -f "$folder/.exit.$me" "$folder/exit.json" || unwritable exit.json
  sync -- "$folder" || :
  exit "$1"
}
. /opt/spack/share/setup-env.sh || finish $? spack_setup
spack load 'hdf5 +mpi' || finish $? spack_modules
module purge || finish $? module_purge
module load gcc/12 || finish $? modules
module load mpi/4.1 || finish $? modules
{ ulimit -s unlimited
} || finish $? 'pre_commands[0]'
{ export SCRATCH="$TMPDIR/qcsc"  # expanded on the node
} || finish $? 'pre_commands[1]'
if mpiexec.hydra -n 8 -ppn 4 -bind-to core bash "$folder/job.sh" rank < /dev/null; then
  finish 0
else
  finish $?
fi
