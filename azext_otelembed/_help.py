"""Help texts and examples of the commands."""

from __future__ import annotations

from knack.help_files import helps

helps["otelembed"] = """
type: group
short-summary: Embed an OpenTelemetry Collector in the image of a Linux Web App.
long-summary: >
    The collector runs inside the app's own container, receives OTLP on localhost:4318 (HTTP) and
    localhost:4317 (gRPC), and exports to Application Insights. Only the site's image and one app
    setting change.
"""

helps["otelembed deploy"] = """
type: command
short-summary: Embed the collector in a Web App's image and release it.
long-summary: >
    Builds the embedded image inside the app's container registry (without pulling it), sets the
    app setting APPLICATIONINSIGHTS_CONNECTION_STRING, changes the site's image, and waits until
    the site answers. Running the command again changes nothing unless something differs.


    A release that fails to start is rolled back: the previous image and app setting are restored
    and verified. If the time is up, the site answers, and nothing shows that the new container
    serves, or if its collector exits, the release is unproven: it stays in place, and `healthy` is
    null.


    Ends with status 0 when the site runs the wanted image, 1 on an error, 3 when a resource or
    image was not found, 4 when the release failed and was rolled back, 5 when it failed and was
    left in place or the rollback is not verified, 6 when it is unproven (0 with
    --accept-unproven), 130 or 143 when interrupted.
examples:
  - name: Add telemetry to the running image.
    text: az otelembed deploy -g shop-rg -n shop
  - name: Release a new app image with the collector embedded.
    text: az otelembed deploy -g shop-rg -n shop --image shopregistry.azurecr.io/shop:1.4.2
  - name: Build the Dockerfile in the current directory and release the result.
    text: az otelembed deploy -g shop-rg -n shop --source . --tag 1.4.2
  - name: Show the plan as JSON, without changing anything.
    text: az otelembed deploy -g shop-rg -n shop --dry-run -o json
  - name: Send the telemetry to a component in another resource group.
    text: >
        az otelembed deploy -g shop-rg -n shop
        --app-insights /subscriptions/MySubscription/resourceGroups/ops/providers/Microsoft.Insights/components/shop
  - name: Release to a slot, and swap the slot with production after it is verified.
    text: az otelembed deploy -g shop-rg -n shop --slot staging --image shop:1.4.2 --swap
  - name: Roll back unless telemetry of the release has arrived within five minutes.
    text: az otelembed deploy -g shop-rg -n shop --require-telemetry --wait-for-telemetry 300
  - name: Deploy to many Web Apps, and start no further one after three failures.
    text: az otelembed deploy --apps-file apps.txt --max-failures 3
  - name: Release with the managed identity of this machine, without az login.
    text: az otelembed deploy -g shop-rg -n shop --credential managed-identity --subscription MySubscription
  - name: Deploy to a slot, and read the connection string from standard input.
    text: az otelembed deploy -g shop-rg -n shop --slot staging --connection-string -
"""

helps["otelembed build"] = """
type: command
short-summary: Embed the collector in an app image, without deploying it.
long-summary: >
    Builds the embedded image in the app image's registry, unless it exists there already. With
    --source, the app image is built and pushed first.
examples:
  - name: Embed the collector in an image of a registry.
    text: az otelembed build --image shopregistry.azurecr.io/shop:1.4.2
  - name: Build the Dockerfile in the current directory, push the image, and embed the collector.
    text: az otelembed build --registry shopregistry --image shop --source . --tag 1.4.2
  - name: Build with ACR Tasks in the registry, without a local container engine.
    text: az otelembed build --registry shopregistry --image shop --source . --tag 1.4.2 --builder acr
  - name: Print only the name of the embedded image, for a script.
    text: az otelembed build --image shopregistry.azurecr.io/shop:1.4.2 --query image.name -o tsv
"""

helps["otelembed dockerfile"] = """
type: command
short-summary: Print a Dockerfile that adds the collector to an app image.
long-summary: >
    For teams that maintain the embedding in their own Dockerfile. `deploy` and `status` recognise
    an image that was built this way, and `deploy` does not embed a second collector. The printed
    ENTRYPOINT and CMD contain those of the app image: print the Dockerfile again when they change.
examples:
  - name: Write the Dockerfile and the collector configuration to the current directory.
    text: az otelembed dockerfile --image shopregistry.azurecr.io/shop:1.4.2 --output-dir .
  - name: Print the Dockerfile for an app image whose CMD is ["node", "server.js"].
    text: az otelembed dockerfile --image-cmd '["node", "server.js"]'
"""

helps["otelembed status"] = """
type: command
short-summary: Show the image, the collector and the telemetry setup of a Web App.
long-summary: >
    Draws a panel on a terminal. Prints the result object with -o or --query, and in scripts.


    With --check, ends with status 5 when the site isn't healthy, or 6 when only whether its
    telemetry arrives is open.
examples:
  - name: Show the status of a Web App.
    text: az otelembed status -g shop-rg -n shop
  - name: Show which telemetry of the last hour has arrived in Application Insights.
    text: az otelembed status -g shop-rg -n shop --telemetry --window 1h
  - name: Fail a release step unless the site runs an embedded image, answers, and its telemetry arrives.
    text: az otelembed status -g shop-rg -n shop --check --wait 180 --only-show-errors -o none
  - name: Print only the name of the image, for a script.
    text: az otelembed status -g shop-rg -n shop --query image.name -o tsv
"""

helps["otelembed doctor"] = """
type: command
short-summary: Find the broken link between a Web App and Application Insights.
long-summary: >
    Checks each link in the order in which telemetry depends on it: site, pull (the right to pull
    the image), image (has a collector), collector (runs), ports, configuration, setting (the
    connection string), endpoint (answers this machine, and its component accepts telemetry), app
    (sends), rows (are in Application Insights). A link is ok, broken or unknown, with the evidence,
    and with the command that fixes or checks it. Changes nothing.


    Ends with status 0 if every link is ok, 1 if one is broken, 6 if none is broken and one is
    unknown.
examples:
  - name: Find out why no telemetry arrives.
    text: az otelembed doctor -g shop-rg -n shop
  - name: Send a few requests to the site, and wait up to three minutes for their telemetry.
    text: az otelembed doctor -g shop-rg -n shop --wait 180
  - name: Print only the commands that fix a slot, for a script.
    text: az otelembed doctor -g shop-rg -n shop --slot staging --query "links[?state=='broken'].commands[]" -o tsv
"""

helps["otelembed logs"] = """
type: command
short-summary: Print the container log of a Web App, and what wrote each line.
long-summary: >
    Each line has its time and its source: platform (App Service), app, otelembed (the launcher:
    starts, and exits of the collector) or collector (its own logs). Secrets in the app settings are
    masked, and control characters are escaped. With -o or --query, prints objects with time, source
    and text. Ends with status 130 at Ctrl-C.
examples:
  - name: Print the last 100 lines.
    text: az otelembed logs -g shop-rg -n shop
  - name: Watch the log of a slot.
    text: az otelembed logs -g shop-rg -n shop --slot staging --follow
  - name: Print only what the launcher and the collector wrote.
    text: az otelembed logs -g shop-rg -n shop --collector --lines 1000
"""

helps["otelembed history"] = """
type: command
short-summary: List the releases of a Web App, newest first.
long-summary: >
    Each release is recorded in the app's container registry: time, image, recipe and outcome.
examples:
  - name: List the releases.
    text: az otelembed history -g shop-rg -n shop -o table
"""

helps["otelembed rollback"] = """
type: command
short-summary: Release an earlier image again.
long-summary: >
    Changes the site's image to the previous one, or to the one that --to names, and verifies it
    like any release. Asks for confirmation before any change. Run again, the same command continues
    a rollback that was interrupted, and changes nothing after one that is complete.
examples:
  - name: Go back to the previous image.
    text: az otelembed rollback -g shop-rg -n shop
  - name: Go back to release 2 of the history, in a script.
    text: az otelembed rollback -g shop-rg -n shop --to 2 --yes
  - name: Go back from a certain release, in a job that may run twice.
    text: az otelembed rollback -g shop-rg -n shop --from 3f9a1c2e4b5d --yes
"""

helps["otelembed remove"] = """
type: command
short-summary: Remove the collector by releasing the base image.
long-summary: >
    Changes the site's image to the base image of the running embedded image, and verifies it. The
    app setting is removed too if a release has set it. Asks for confirmation before any change. Run
    again, the same command continues a removal that was interrupted.
examples:
  - name: Remove the collector.
    text: az otelembed remove -g shop-rg -n shop
  - name: Remove the collector in a script, and keep the app setting.
    text: az otelembed remove -g shop-rg -n shop --keep-setting --yes
"""

helps["otelembed wait"] = """
type: command
short-summary: Verify the pending release of a deploy with --no-wait.
long-summary: >
    Waits until the site answers with the new image and completes the release's record. If the
    container fails to start, the release is rolled back. An unproven release is verified again. A
    rollback, removal or swap that was interrupted is continued. Ends with the statuses of `deploy`.
examples:
  - name: Verify a release that was deployed with --no-wait.
    text: az otelembed wait -g shop-rg -n shop --timeout 120
"""

helps["otelembed config"] = """
type: group
short-summary: Check and show the configuration of the collector.
"""

helps["otelembed config show"] = """
type: command
short-summary: Show the collector's configuration in the image that a Web App runs.
long-summary: >
    Reads the configuration from the image in its registry, and prints it as YAML. Secrets in it are
    masked. With --output, the result has the configuration and its digest. Changes nothing.
examples:
  - name: Print the default configuration, the start for one of your own.
    text: az otelembed config show --default
  - name: Show the configuration of a slot.
    text: az otelembed config show -g shop-rg -n shop --slot staging
"""

helps["otelembed config validate"] = """
type: command
short-summary: Check a collector configuration.
long-summary: >
    Finds what makes the collector exit at start: unknown keys, names, component types that the
    collector's release lacks, missing components, invalid limits and addresses, expressions that it
    can't expand. `deploy` and `build` make the same check before anything changes. Each problem has
    its file, line and path, and what to write instead.


    The component types are those of the default --collector-image. For another image, a type
    that is not among them is a warning. Values that come from ${env:NAME} are not checked.


    With --registry, the collector itself validates the configuration as well (`otelcol validate`).
    Variables of the site have placeholders: an error that depends on one is a warning.


    Ends with status 0 if there is no error, and with 1 otherwise. Warnings don't change the status.
examples:
  - name: Check a configuration.
    text: az otelembed config validate collector.yml
  - name: Check two files that are merged, with the collector of a registry, on this machine.
    text: az otelembed config validate collector.yml production.yml --registry shopregistry
  - name: Check it in the registry, from a machine that can't run the collector.
    text: az otelembed config validate collector.yml --registry shopregistry --validate acr
  - name: Fail a pipeline step at an error, and print the errors alone.
    text: az otelembed config validate collector.yml --query errors -o table
"""

helps["otelembed prune"] = """
type: command
short-summary: List, and delete, embedded images that are not needed.
long-summary: >
    An embedded image is needed while a Web App or slot runs it (in any subscription of the tenant
    that you can see), while it belongs to one of a Web App's newest releases, while `az otelembed
    rollback` would release it, and for one hour after its push. Other Azure services are not
    checked. If a subscription, a Web App or the images of a multi-container configuration cannot
    be read, no image is deleted, and the result names the reason. App images and collectors are
    never deleted. Of a Web App with more than 100 releases on record, --delete also deletes old
    release records: the newest 100 releases stay (or --keep, if that is more), and so do pending
    ones, those that tell whether a release set the connection string, and those of images that
    would not be recognized without them. Without --delete, nothing is changed.
examples:
  - name: List the embedded images, and the reason for each that is kept.
    text: az otelembed prune --registry shopregistry -o table
  - name: Delete the images that are not needed, and keep five releases of each Web App.
    text: az otelembed prune --registry shopregistry --keep 5 --delete --yes
"""
