"""Help texts and examples of the commands."""

from __future__ import annotations

from knack.help_files import helps

helps["otelembed"] = """
type: group
short-summary: Run an OpenTelemetry Collector inside the image of a Linux Web App.
long-summary: >
    The collector listens on localhost:4318 (HTTP) and 4317 (gRPC) inside the app's own container
    and sends what the app reports to Application Insights. Nothing else changes on
    the site.
"""

helps["otelembed deploy"] = """
type: command
short-summary: Embed a collector in a Web App's image and run it.
long-summary: >
    Adds the collector to the app's image inside its container registry (nothing is pulled), sets
    the app setting APPLICATIONINSIGHTS_CONNECTION_STRING, points the site at the new image and
    waits until it answers. Running it again changes nothing unless something differs.


    A release that doesn't come up is rolled back: the image and the setting that were there before
    go back, and that is verified too.
    Ends with status 0 when the site runs the wanted image, 1 on an error, 3 when something wasn't
    found, 4 when the release failed and was rolled back, 5 when it failed and was left, 130 or
    143 when interrupted.
examples:
  - name: Add telemetry to the image that runs now.
    text: az otelembed deploy -g shop-rg -n shop
  - name: Release a new app image with the collector in it.
    text: az otelembed deploy -g shop-rg -n shop --image shopregistry.azurecr.io/shop:1.4.2
  - name: Build the Dockerfile in this directory, and release what it makes.
    text: az otelembed deploy -g shop-rg -n shop --source . --tag 1.4.2
  - name: See what would change, as JSON.
    text: az otelembed deploy -g shop-rg -n shop --dry-run -o json
  - name: Send the telemetry to a component of another resource group.
    text: >
        az otelembed deploy -g shop-rg -n shop
        --app-insights /subscriptions/MySubscription/resourceGroups/ops/providers/Microsoft.Insights/components/shop
  - name: Release to a slot, and swap it into production once it has come up.
    text: az otelembed deploy -g shop-rg -n shop --slot staging --image shop:1.4.2 --swap
  - name: Deploy many Web Apps in one go, and stop when three have failed.
    text: az otelembed deploy --apps-file apps.txt --max-failures 3
  - name: Release with the managed identity of this machine, without az login.
    text: az otelembed deploy -g shop-rg -n shop --credential managed-identity --subscription MySubscription
  - name: Take the connection string from standard input, to a slot.
    text: az otelembed deploy -g shop-rg -n shop --slot staging --connection-string -
"""

helps["otelembed build"] = """
type: command
short-summary: Embed a collector in an app image, without deploying it.
long-summary: >
    Makes the embedded image in the app image's registry, unless it is there already. With
    --source the app image is built and pushed first.
examples:
  - name: Embed the collector in an image of a registry.
    text: az otelembed build --image shopregistry.azurecr.io/shop:1.4.2
  - name: Build the Dockerfile in this directory, push it, and embed the collector in it.
    text: az otelembed build --registry shopregistry --image shop --source . --tag 1.4.2
  - name: The same, built in the registry by ACR Tasks, with no engine on this machine.
    text: az otelembed build --registry shopregistry --image shop --source . --tag 1.4.2 --builder acr
  - name: Print the embedded image's name as one word, for a script.
    text: az otelembed build --image shopregistry.azurecr.io/shop:1.4.2 --query image.name -o tsv
"""

helps["otelembed dockerfile"] = """
type: command
short-summary: Print a Dockerfile that adds the collector to an app image.
long-summary: >
    For teams that want the collector in their own Dockerfile. `deploy` and `status` recognise an
    image that was built so, and never embed a second collector. ENTRYPOINT and CMD are the app
    image's own, wrapped and repeated: print it again when they change.
examples:
  - name: Write the Dockerfile for an image, and the collector's configuration, to this directory.
    text: az otelembed dockerfile --image shopregistry.azurecr.io/shop:1.4.2 --output-dir .
  - name: Print the lines for an app whose Dockerfile ends with CMD ["node", "server.js"].
    text: az otelembed dockerfile --image-cmd '["node", "server.js"]'
"""

helps["otelembed status"] = """
type: command
short-summary: Show what runs in a Web App and whether its telemetry is set up.
long-summary: >
    On a terminal it draws a panel; with -o or --query, or in a script, it prints the object.
examples:
  - name: Show what runs.
    text: az otelembed status -g shop-rg -n shop
  - name: Fail a release step unless the app runs embedded and answers.
    text: az otelembed status -g shop-rg -n shop --check --only-show-errors -o none
  - name: Print the image as one word, for a script.
    text: az otelembed status -g shop-rg -n shop --query image.name -o tsv
"""

helps["otelembed history"] = """
type: command
short-summary: List the releases of a Web App, newest first.
long-summary: >
    Every release is recorded in the app's container registry: when, which image, by which recipe,
    and how it ended.
examples:
  - name: List the releases.
    text: az otelembed history -g shop-rg -n shop -o table
"""

helps["otelembed rollback"] = """
type: command
short-summary: Put an earlier image back.
long-summary: >
    Runs the image that ran before, or the one that --to names, and verifies it like any release.
    Asks before anything is changed.
examples:
  - name: Go back to what ran before.
    text: az otelembed rollback -g shop-rg -n shop
  - name: Go back to a certain release, in a script.
    text: az otelembed rollback -g shop-rg -n shop --to 2 --yes
"""

helps["otelembed remove"] = """
type: command
short-summary: Put the base image back, without the collector.
long-summary: >
    The image goes back to the base that the running one was made from. The app setting goes too if
    a release of ours has set it. Asks before anything is changed.
examples:
  - name: Remove the collector.
    text: az otelembed remove -g shop-rg -n shop
  - name: Remove it in a script, and keep the app setting.
    text: az otelembed remove -g shop-rg -n shop --keep-setting --yes
"""

helps["otelembed wait"] = """
type: command
short-summary: Verify the release that a deploy with --no-wait has begun.
long-summary: >
    Waits until the site answers with the new image, completes the release's record, and rolls the
    release back if it doesn't come up.
examples:
  - name: Verify what was deployed with --no-wait.
    text: az otelembed wait -g shop-rg -n shop --timeout 120
"""

helps["otelembed prune"] = """
type: command
short-summary: List, and delete, embedded images that nothing needs.
long-summary: >
    An embedded image is needed while a Web App or slot that you can see, in any subscription of
    the tenant, runs it, while it belongs to one of a Web App's newest releases or `az otelembed
    rollback` would go back to it, and for an hour after it was pushed. What other services run
    isn't looked at. While something that you can see can't be read (a subscription or Web App
    that you have no right to read, or a multi-container configuration that names no images),
    everything is kept, and the result says what it was. App images and collectors are never
    touched. Without --delete nothing is changed.
examples:
  - name: See which embedded images there are, and why they are kept.
    text: az otelembed prune --registry shopregistry -o table
  - name: Delete what nothing needs, keeping five releases of each Web App.
    text: az otelembed prune --registry shopregistry --keep 5 --delete --yes
"""
