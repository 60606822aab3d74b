#!/bin/sh
# In the official image, when its container ends: end the gateways, and wait until they have. Mounted into s6-overlay's
# /etc/cont-finish.d, which runs it first, for as long as S6_KILL_FINISH_MAXTIME says (in ms). What runs after that is
# killed after 3 s, work in flight or not (s6-overlay: S6_KILL_GRACETIME).
PATH=$PATH:/command

for service in /run/service/gateway-*; do
  if [ -p "$service/supervise/control" ]; then set -- "$@" "$service"; fi
done
for service; do s6-svc -d "$service"; done
if [ "$#" -gt 0 ]; then s6-svwait -D "$@"; fi

# As the container's main program (--no-supervise) it has no service. Its program file is not for this root to see.
for process in /proc/[0-9]*; do
  case $(tr '\0' ' ' <"$process/cmdline") in
    /*/python*' gateway run --no-supervise '*)
      kill -TERM "${process#/proc/}"
      tail --pid="${process#/proc/}" -f /dev/null
      ;;
  esac
done
