#!/bin/bash -l
#SBATCH --job-name=bitcount-3-h2o-1a51a13076ab2b2e125b
#SBATCH --comment=h2o/3/evaluate/walker-2/bitcount.0
#SBATCH --open-mode=append
#SBATCH --nodes=2
#SBATCH --ntasks=8
#SBATCH --ntasks-per-node=4
#SBATCH --cpus-per-task=3
#SBATCH --time=01:30:00
#SBATCH --signal=B:USR1@120
# h2o/3/evaluate/walker-2/bitcount.0

if [ "${1-}" = rank ]; then
  export OMP_NUM_THREADS=3
  export QCSC_JOB_KEY=h2o/3/evaluate/walker-2/bitcount.0
  export QCSC_RANKS=8
  export QCSC_JOB_FOLDER='/work/my runs/h2o'
  cd '/work/my runs/h2o' || exit 77
  folder='/work/my runs/h2o'
  unstaged() {
    echo "$HOSTNAME: scratch: $1" >&2
    [ -n "${QCSC_SCRATCH-}" ] && : > "$QCSC_SCRATCH.failed"
    exit 80
  }
  scratch="$TMPDIR/it's"
  case $scratch in (/?*) ;; (*) unstaged "'$scratch' is no folder of this node" ;; esac
  export QCSC_SCRATCH="${scratch%/}/qcsc-$(readlink "$folder/fence")"-"${SLURM_RESTART_COUNT:-0}"
  mkdir -p "$QCSC_SCRATCH" || unstaged "it cannot be made"
  if mkdir "$QCSC_SCRATCH.first" 2> /dev/null; then
    cp -RL -- '/data/integrals it'"'"'s.npz' "$QCSC_SCRATCH/" || unstaged 'no /data/integrals it'"'"'s.npz there'
    cp -RL -- '/work/my runs/h2o/shots.npy' "$QCSC_SCRATCH/" || unstaged 'no shots.npy there'
    : > "$QCSC_SCRATCH.ready"
  fi
  until [ -e "$QCSC_SCRATCH.ready" ]; do
    [ -e "$QCSC_SCRATCH.failed" ] && unstaged "another rank of the node could not"
    sleep 0.1
  done
  stage_out() {
    mkdir -p "$QCSC_SCRATCH.ended/$$"
    local ended
    ended=("$QCSC_SCRATCH.ended"/*)
    [ ${#ended[@]} -ge 4 ] || return 0
    mkdir "$QCSC_SCRATCH.last" 2> /dev/null || return 0
    cd "$QCSC_SCRATCH" || return 0
    local one
    for one in part.*.npz; do
      [ -e "$one" ] || continue
      cp -R -- "$one" "$folder/.staged.$$" && mv -fT -- "$folder/.staged.$$" "$folder/${one##*/}" && continue
      echo "$HOSTNAME: scratch: $one could not be brought to $folder" >&2
      [ $code = 0 ] && code=80
    done
    cd "$folder" || return 0
    rm -rf "$QCSC_SCRATCH" "$QCSC_SCRATCH".*
  }
  { cd "$QCSC_SCRATCH"
  } || { code=$?; echo "rank_commands[0] failed" >&2; exit $code; }
  '/opt/bit count' 10 'it'"'"'s' -x < /dev/null &
  child=$!
  trap "kill -TERM $child 2> /dev/null || :" TERM
  trap "kill -USR1 $child 2> /dev/null || :" USR1
  while kill -0 $child 2> /dev/null; do wait $child && break; done
  wait $child && code=0 || code=$?
  stage_out
  exit $code
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
rm -f warned
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
  [ -e "$folder/warned" ] && warned=true
  printf '{"job":"%s","restarts":%s,"exit_code":%d,"fault":"%s","oom_kills":%d,"warned":%s,"started":%s,"ended":%s}\n' "$me" "${SLURM_RESTART_COUNT:-0}" "$1" "${2-}" $((${after:-0} - ${before:-0})) "${warned-false}" "$began" "$(date +%s.%N)" >| "$folder/.exit.$me" || unwritable exit.json
  sync -- "$folder/.exit.$me" || :
  mv -f "$folder/.exit.$me" "$folder/exit.json" || unwritable exit.json
  sync -- "$folder" || :
  exit "$1"
}
trap ': > "$folder/warned"' USR1
srun --nodes=2 --ntasks=8 --ntasks-per-node=4 --cpus-per-task=3 bash "$folder/job.sh" rank < /dev/null &
child=$!
trap ': > "$folder/warned"; kill -USR1 $child 2> /dev/null || :' USR1
[ ! -e "$folder/warned" ] || { sleep 5; kill -USR1 $child 2> /dev/null; } &
while kill -0 $child 2> /dev/null; do wait $child && break; done
wait $child && code=0 || code=$?
if [ $code = 0 ]; then
  finish 0
else
  finish $code
fi
