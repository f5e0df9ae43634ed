otelembed_stop= otelembed_early=0 otelembed_status= otelembed_turn=0
trap 'otelembed_trapped=1 otelembed_turn=1000000' URG
for otelembed_name in INT QUIT TERM; do
  trap "otelembed_stop=$otelembed_name otelembed_early=$otelembed_name" $otelembed_name
done
{ trap - URG INT QUIT TERM; kill -URG $$; SSL_CERT_DIR="${SSL_CERT_DIR:-/etc/ssl/certs:/etc/pki/tls/certs}:/otelembed/certs" GOMEMLIMIT=204MiB exec /otelembed/otelcol --config=/otelembed/config.yml </dev/null >/dev/null 2>&1; } &
otelembed_collector=$!
while [ "$otelembed_turn" -lt 1000000 ]; do otelembed_turn=$((otelembed_turn + 1)); done
otelembed_turn=0
{ trap - URG INT QUIT TERM; kill -URG $$; exec "$@"; } &
otelembed_app=$!
while [ "$otelembed_turn" -lt 1000000 ]; do otelembed_turn=$((otelembed_turn + 1)); done
for otelembed_name in HUP USR1 USR2 WINCH; do
  trap "otelembed_trapped=1; kill -$otelembed_name $otelembed_app 2>/dev/null" $otelembed_name
done
for otelembed_name in INT QUIT TERM; do
  trap "otelembed_trapped=1 otelembed_stop=$otelembed_name
    kill -$otelembed_name $otelembed_app 2>/dev/null" $otelembed_name
done
kill -"$otelembed_early" "$otelembed_app" 2>/dev/null
while :; do
  otelembed_trapped=
  wait "$otelembed_app" 2>/dev/null
  otelembed_last=$?
  if [ "$otelembed_last" = 127 ] && [ "$otelembed_status" ]; then break; fi
  otelembed_status=$otelembed_last
  if [ -z "$otelembed_trapped" ] || [ "$otelembed_last" -le 128 ]; then break; fi
done
if [ "$otelembed_stop" ] && kill -0 "$otelembed_collector" 2>/dev/null; then
  PATH="${PATH:-/usr/bin:/bin}:/otelembed" sleep 2 2>/dev/null || {
    otelembed_end=
    while read -r otelembed_now otelembed_rest </proc/uptime; do
      otelembed_now=${otelembed_now%.*}${otelembed_now#*.}
      otelembed_end=${otelembed_end:-$((otelembed_now + 200))}
      [ "$otelembed_now" -lt "$otelembed_end" ] || break
    done
  }
  kill -TERM "$otelembed_collector" 2>/dev/null
  wait "$otelembed_collector" 2>/dev/null
else
  kill -TERM "$otelembed_collector" 2>/dev/null
fi
exit "$otelembed_status"
