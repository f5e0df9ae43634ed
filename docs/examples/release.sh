#!/bin/sh
# Releases an app image to a Web App, with the collector in it; the exit status says how it went.
#
#   RESOURCE_GROUP, APP   the Web App
#   SLOT                  one of its slots, instead of production (optional)
#   IMAGE                 the app image, which is in its registry already
#
# Whoever is logged in to az does it; or else, with no `az login`:
#
#   CREDENTIAL            environment, workload-identity or managed-identity
#   SUBSCRIPTION          the subscription's id
set -eu

: "${RESOURCE_GROUP:?}" "${APP:?}" "${IMAGE:?}"
set -- --resource-group "$RESOURCE_GROUP" --name "$APP"
if [ -n "${SLOT:-}" ]; then
    set -- "$@" --slot "$SLOT"
fi
if [ -n "${CREDENTIAL:-}" ]; then
    set -- "$@" --credential "$CREDENTIAL" --subscription "${SUBSCRIPTION:?}"
fi

status=0
embedded=$(az otelembed deploy "$@" --image "$IMAGE" --query image.name --output tsv) || status=$?

case $status in
    0) echo "$APP runs $embedded." ;;
    3) echo "Something isn't there: see above." >&2 ;;
    4) echo "$embedded doesn't come up: $APP runs what it ran before." >&2 ;;
    5) echo "$APP doesn't come up: see above." >&2 ;;
    *) echo "Not released: see above. Running this again goes on where it stopped." >&2 ;;
esac
exit "$status"
