"""The script of the supervisor: a shell process that starts the collector again when it exits.

The collector is a child of this process and not of the app: managers such as foreman, gunicorn and
apache wait for any child, and end when one of theirs has exited. So the supervisor itself ends only
at TERM or HUP, with status 0. It is POSIX sh, tested in dash, busybox ash and bash, and in mksh,
ksh93 and zsh. Their behaviour is the reason for these parts:

- It is a process of its own (`sh -c`): a subshell would keep the app's command line, and
  `pgrep -f` would find the app twice.
- In dash and bash, a signal to a child that still has the shell's handlers is lost. So a child
  that was started less than a second or so ago is stopped by KILL, which can't be lost.
- INT and QUIT are ignored in every background job. USR1, USR2 and PIPE are ignored as well: the
  supervisor must not end at a signal that is sent to all processes, or at a closed stderr.
- An image without `sleep` has nothing to wait with, except a pipe that this process itself can
  write to: reading from it ends at a signal only.
- Before the first child, `$!` is 0 in zsh, and `kill 0` would reach the app.
- Shells report a child that a signal has ended, also in `wait`: 2>/dev/null.

Names begin with `otelembed_`, because a variable that is already in the environment is exported to
the collector.
"""

from __future__ import annotations

import re
import shlex

from azext_otelembed.image.layer import FOLDER

NAME = "otelembed-collector"  # $0 of the script; names the supervisor in `ps`
EXIT_LINE = re.compile(
    r"otelembed: the collector exited with status (?P<status>\d{1,3}); "
    r"(?:next start in (?P<pause>\d{1,3}) s|no restart, because the image has no sleep)",
    re.ASCII,
)
"""Matches the line that the supervisor writes to stderr.

The group `pause` (seconds) is None if the collector isn't started again.
"""

SLEEP = f'PATH="${{PATH:-/usr/bin:/bin}}:{FOLDER}" sleep'
"""The command `sleep`, also where only `--shell-image` has added one."""
_INDENTATION = re.compile(r"\n +")  # App Service and `docker inspect` show the script
_LONGEST_PAUSE = 256
_LONG_RUN = 60  # seconds after which a collector's exit is not a failed start

_SCRIPT = """\
otelembed_uptime() {
  read -r otelembed_now otelembed_rest 2>/dev/null </proc/uptime || otelembed_now=0
  otelembed_now=${otelembed_now%%.*}
}
otelembed_stop() {
  trap "" TERM HUP
  case $! in "" | 0) exit 0 ;; esac
  otelembed_signal=KILL
  if [ "$otelembed_runs" ]; then
    @GRACE@
    otelembed_uptime
    if [ $((otelembed_now - otelembed_start)) -ge 2 ]; then otelembed_signal=TERM; fi
  fi
  kill -"$otelembed_signal" "$!" 2>/dev/null || :
  wait "$!" 2>/dev/null || :
  exit 0
}
otelembed_runs= otelembed_pause=1
trap "" PIPE USR1 USR2
trap otelembed_stop TERM HUP
while :; do
  otelembed_uptime
  otelembed_start=$otelembed_now otelembed_runs=1 otelembed_status=0
  @COLLECTOR@ &
  wait "$!" 2>/dev/null || otelembed_status=$?
  otelembed_runs=
  otelembed_uptime
  if [ $((otelembed_now - otelembed_start)) -ge @LONG_RUN@ ]; then otelembed_pause=1; fi
  otelembed_next="next start in $otelembed_pause s"
  @SLEEP@ 0 2>/dev/null || otelembed_next="no restart, because the image has no sleep"
  echo "otelembed: the collector exited with status $otelembed_status; $otelembed_next" \\
    >&2 2>/dev/null || :
  case $otelembed_next in no*) break ;; esac
  @SLEEP@ "$otelembed_pause" 2>/dev/null &
  wait "$!" 2>/dev/null || :
  if [ "$otelembed_pause" -lt @LONGEST_PAUSE@ ]; then otelembed_pause=$((otelembed_pause * 2)); fi
done
: | { exec 3>/proc/self/fd/0; read -r otelembed_rest; } &
wait "$!" 2>/dev/null
"""

_GRACE = """\
@SLEEP@ @SECONDS@ 2>/dev/null || {
      otelembed_end=
      while read -r otelembed_now otelembed_rest </proc/uptime; do
        otelembed_now=${otelembed_now%.*}${otelembed_now#*.}
        otelembed_end=${otelembed_end:-$((otelembed_now + @SECONDS@00))}
        [ "$otelembed_now" -lt "$otelembed_end" ] || break
      done
    }"""


def command(collector: str, shell_path: str, grace: int = 0, environment: str = "") -> str:
    """The shell command of the supervisor, without `&`.

    `collector` is the command of the collector, `shell_path` the shell that runs the script.
    `grace` is the time in seconds that a running collector gets after TERM or HUP. `environment`
    are the commands, each with its line's end, that set the collector's environment variables.
    """
    values = {"SLEEP": SLEEP, "SECONDS": str(grace)}
    values["GRACE"] = _fill(_GRACE, values) if grace else ":"
    values["COLLECTOR"] = collector
    values["LONG_RUN"] = str(_LONG_RUN)
    values["LONGEST_PAUSE"] = str(_LONGEST_PAUSE)
    script = environment + _fill(_SCRIPT, values)
    script = shlex.quote(_INDENTATION.sub("\n", script))
    return f"{shell_path} -c {script} {NAME} </dev/null >/dev/null"


def _fill(template: str, values: dict[str, str]) -> str:
    return re.sub(r"@([A-Z_]+)@", lambda match: values[match[1]], template)
