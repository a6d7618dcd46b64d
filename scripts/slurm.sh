#!/usr/bin/env bash
# A SLURM cluster of this machine alone, to try sweeps on:
#   scripts/slurm.sh start DIR [--install]   start slurmctld, slurmd and munged
#   scripts/slurm.sh stop DIR
# DIR holds its configuration, state and logs; `export SLURM_CONF=DIR/slurm.conf` points
# sbatch and the other commands to it. --install installs Debian's packages. As root.
set -euo pipefail

stop() {
  echo "Error: $1" >&2
  exit 1
}

mode=${1:-} dir=${2:-} more=${3:-}
[ "$mode" = start ] || [ "$mode" = stop ] || stop "the first argument is '$mode'; it must be start or stop."
[ -n "$dir" ] || stop "the second argument is missing; it must be a directory."
[ "$(id -u)" = 0 ] || stop "slurmd runs jobs as their users; it must be started as root."
[ -z "$more" ] || [ "$more" = --install ] || stop "the third argument is '$more'; it must be --install or nothing."

end() {
  for name in slurmd slurmctld munged; do
    local process
    process=$(cat "$dir/$name.pid" 2>/dev/null) || continue
    kill "$process" 2>/dev/null || continue
    for _ in $(seq 100); do
      kill -0 "$process" 2>/dev/null || break
      sleep 0.1
    done
  done
}

if [ "$mode" = stop ]; then
  end
  exit 0
fi
if [ -n "$more" ]; then
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends slurmctld slurmd slurm-client munge >/dev/null
fi
for name in slurmctld slurmd munged; do
  command -v "$name" >/dev/null || stop "there is no $name; --install installs it."
done
mkdir -p "$dir"
dir=$(cd -- "$dir" && pwd)
end
mkdir -p "$dir"/{state,spool}
rm -f "$dir"/*.pid
host=$(hostname -s)
[ -s "$dir/munge.key" ] || head -c 128 /dev/urandom >"$dir/munge.key"
chmod 600 "$dir/munge.key"
# munged refuses sockets below folders that others write to, such as /tmp, without --force.
munged --force --key-file="$dir/munge.key" --socket="$dir/munge.socket" --pid-file="$dir/munged.pid" \
  --log-file="$dir/munged.log" --seed-file="$dir/munge.seed" >"$dir/munged.start" 2>&1 \
  || stop "munged could not be started; see $dir/munged.start."
cat >"$dir/slurm.conf" <<END
ClusterName=alone
SlurmctldHost=$host
SlurmctldPort=16817
SlurmdPort=16818
AuthType=auth/munge
AuthInfo=socket=$dir/munge.socket
SlurmUser=root
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=1
JobRequeue=1
KillWait=30
MinJobAge=3600
ReturnToService=2
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/spool
SlurmctldPidFile=$dir/slurmctld.pid
SlurmdPidFile=$dir/slurmd.pid
SlurmctldLogFile=$dir/slurmctld.log
SlurmdLogFile=$dir/slurmd.log
MpiDefault=none
NodeName=$host CPUs=$(nproc) RealMemory=$(($(awk '/MemTotal/ {print $2}' /proc/meminfo) / 1024 * 9 / 10)) State=UNKNOWN
PartitionName=main Nodes=$host Default=YES MaxTime=INFINITE State=UP
END
export SLURM_CONF=$dir/slurm.conf
slurmctld || stop "slurmctld could not be started; see $dir/slurmctld.log."
slurmd || stop "slurmd could not be started; see $dir/slurmd.log."
for _ in $(seq 60); do
  if sinfo --noheader --format=%t 2>/dev/null | grep -q '^\(idle\|mix\|alloc\)'; then
    echo "export SLURM_CONF=$SLURM_CONF"
    exit 0
  fi
  sleep 0.5
done
stop "the node did not come up in 30 seconds; see $dir/slurmd.log."
