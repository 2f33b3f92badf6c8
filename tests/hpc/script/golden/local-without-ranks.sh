#!/bin/bash
# h2o/3/evaluate/walker-2/bitcount.0

if [ "${1-}" = rank ]; then
  export OMP_NUM_THREADS=3
  export GREETING='it'"'"'s $HOME'
  export EMPTY=''
  export LINES='one
two'
  export QCSC_JOB_KEY=h2o/3/evaluate/walker-2/bitcount.0
  export QCSC_RANKS=1
  cd '/work/my runs/h2o' || exit 77
  exec '/opt/bit count' 10 'it'"'"'s' -x < /dev/null
fi

folder='/work/my runs/h2o'
cd "$folder" || exit 77
me=$$
if ! ln -sn "$me" fence 2> /dev/null && [ "$(readlink fence)" != "$me" ]; then
  echo "this work belongs to job $(readlink fence): $me stops" >&2
  exit 76
fi
rm -f exit.json
: > started
began=$(date +%s.%N)
finish() {
  printf '{"job":"%s","restarts":%s,"exit_code":%d,"fault":"%s","started":%s,"ended":%s}\n' "$me" null "$1" "${2-}" "$began" "$(date +%s.%N)" >| "$folder/.exit.$me"
  mv -f "$folder/.exit.$me" "$folder/exit.json"
  exit "$1"
}
module load gcc/12 || finish $? modules
module load mpi/4.1 || finish $? modules
{ ulimit -s unlimited
} || finish $? 'pre_commands[0]'
{ export SCRATCH="$TMPDIR/qcsc"  # expanded on the node
} || finish $? 'pre_commands[1]'
if PYTHON -I -S /PATH/child.py $$ bash "$folder/job.sh" rank < /dev/null; then
  finish 0
else
  finish $?
fi
