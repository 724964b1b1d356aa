# Starts and stops one server; sourced by the start.sh of each folder, which sets `here` and defines
#   setup                      fetches what the server is made of, into its folder; leaves nothing half done
#   launch PORT RUN [K=V ...]  becomes the server (exec), with its data in RUN
#   health                     the path that answers 200 once the server is ready
# and then calls: lifecycle "$@". See usage for the commands.

usage() {
  cat <<'USAGE'
start.sh setup                   fetches the server (once; start does it when needed)
start.sh start PORT [K=V ...]    a fresh server on 127.0.0.1:PORT with these settings; returns when it is ready
start.sh stop PORT               ends it, waits, removes its data
Environment:
  WATCH=PID   the server ends when that process does
  KEEP=1      keeps the data over stop and start
  JAVA, JAVA_OPTS (-Xms512m -Xmx512m)   for the servers that run on Java
USAGE
}

alive() { kill -0 "$1" 2>/dev/null && ! grep -q '^State:.*Z' "/proc/$1/status" 2>/dev/null; }

# One set-up at a time, however many tests want one.
setup_once() {
  mkdir -p "$here/run"
  exec 9>"$here/run/setup.lock"
  ! command -v flock >/dev/null || flock 9
  setup
  exec 9>&-
}

ready() { # PORT
  local line=
  exec 3<>"/dev/tcp/127.0.0.1/$1" || return 1
  printf 'GET %s HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n' "$(health)" >&3 && read -r -t 5 line <&3 || true
  exec 3>&-
  [[ $line == *" 200 "* ]]
}

start() { # PORT [K=V ...]
  local port=$1 run=$here/run/$1 pid
  shift
  setup_once
  if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then echo "port $port is taken"; return 1; fi
  [ "${KEEP:-}" ] || rm -rf "$run"
  mkdir -p "$run/tmp"
  (launch "$port" "$run" "$@") >"$run/log" 2>&1 </dev/null &
  pid=$!
  echo "$pid" >"$run/pid"
  if [ "${WATCH:-}" ]; then watch "$WATCH" "$port" "$pid" >/dev/null 2>&1 </dev/null & fi
  for _ in $(seq 1200); do
    alive "$pid" || { echo "died:"; tail -n 30 "$run/log"; rm -f "$run/pid"; return 1; }
    if (ready "$port") 2>/dev/null; then echo "http://127.0.0.1:$port pid $pid"; return; fi
    sleep 0.1
  done
  echo "not ready within 120 s:"; tail -n 30 "$run/log"
  stop "$port"
  return 1
}

watch() { # PID_TO_WATCH PORT PID
  while alive "$1" && alive "$3"; do sleep 1; done
  [ "$(cat "$here/run/$2/pid" 2>/dev/null)" != "$3" ] || stop "$2"
}

stop() { # PORT
  local run=$here/run/$1 pid
  [ -e "$run/pid" ] || return 0
  pid=$(cat "$run/pid")
  kill "$pid" 2>/dev/null || true
  for _ in $(seq 200); do alive "$pid" || break; sleep 0.1; done
  kill -9 "$pid" 2>/dev/null || true
  rm -f "$run/pid"
  [ "${KEEP:-}" ] || rm -rf "$run"
}

lifecycle() {
  case "${1:-}" in
    setup) setup_once ;;
    start) shift; start "$@" ;;
    stop) stop "$2" ;;
    *) usage; exit 2 ;;
  esac
}
