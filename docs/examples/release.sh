#!/bin/sh
# Releases an app image to a Web App, with the collector embedded. Exit status: that of the deploy.
#
#   RESOURCE_GROUP, APP   the Web App
#   SLOT                  a deployment slot, instead of production (optional)
#   IMAGE                 the app image, pushed to its registry
#
# The account of `az login` calls Azure. To release without `az login`, set:
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
    3) echo "A resource or image was not found: see above." >&2 ;;
    4) echo "$embedded failed to start: $APP was rolled back to its previous image." >&2 ;;
    5) echo "$APP is unhealthy: see above." >&2 ;;
    6) echo "$embedded is unproven: see above." >&2 ;;
    *) echo "Not released: see above. Run this script again to continue." >&2 ;;
esac
exit "$status"
