"""The arguments of the commands, each with its help."""

from __future__ import annotations

from typing import Any

from azext_otelembed._validators import (
    validate_health_path,
    validate_keep,
    validate_max_failures,
    validate_tag,
    validate_timeout,
)

BUILDERS = ("docker", "acr")
LAUNCHERS = ("exec", "drain")
LOGS = ("null", "stderr")
TAG = (
    "Tag of the embedded image. Default: the base image's tag, `-otelembed-` and 12 digits of the "
    "recipe's digest. It mustn't be taken. With --source: tag of the app image; default: the one "
    "in --image, else the commit where the source is a clean git checkout, else the time (UTC)."
)


def load_arguments(loader: Any, _command: str) -> None:
    """Declares the arguments (called by az)."""
    from azure.cli.core.commands.parameters import (
        get_enum_type,
        get_three_state_flag,
        resource_group_name_type,
    )

    from azext_otelembed._actions import SubscriptionAction
    from azext_otelembed._completers import site_names, slot_names
    from azext_otelembed.azure.credentials import CLI, KINDS

    with loader.argument_context("otelembed") as c:
        c.argument("resource_group_name", resource_group_name_type)
        c.argument(
            "name",
            options_list=["--name", "-n"],
            # No id_part: az would run the command once for each id, in threads (see the design).
            id_part=None,
            completer=site_names,
            help="Name of the Web App.",
        )
        c.argument(
            "slot",
            options_list=["--slot", "-s"],
            completer=slot_names,
            help="Name of the deployment slot. Default: the production slot.",
        )
        c.argument(
            "health_path",
            validator=validate_health_path,
            help="Path that the app must answer with a status below 500.",
        )
        c.argument("_subscription", options_list=["--subscription"], action=SubscriptionAction)
        c.argument(
            "credential",
            arg_type=get_enum_type(KINDS, default=CLI),
            help="Who calls Azure: whoever is logged in to az; or, with --subscription and without "
            "`az login`, the service principal of AZURE_TENANT_ID, AZURE_CLIENT_ID and "
            "AZURE_CLIENT_SECRET (or AZURE_CLIENT_CERTIFICATE_PATH), the workload identity whose "
            "token is in the file AZURE_FEDERATED_TOKEN_FILE, or the managed identity of this "
            "machine (AZURE_CLIENT_ID names a user-assigned one).",
        )
        c.argument(
            "timeout",
            type=int,
            validator=validate_timeout,
            help="Seconds to wait until the site answers with the new image.",
        )
        c.argument(
            "yes",
            options_list=["--yes", "-y"],
            action="store_true",
            help="Don't ask before anything is changed.",
        )
        c.argument(
            "no_rollback",
            arg_type=get_three_state_flag(),
            help="Leave a release that doesn't come up, for looking at it.",
        )
        c.argument(
            "collector_image",
            help="Image that holds the OpenTelemetry Collector, by tag or digest.",
        )
        c.argument(
            "collector_config",
            help="Collector configuration file (YAML). Default: OTLP on localhost to Application "
            "Insights. The connection string stays out of it: the exporter reads it from the "
            "app setting.",
        )
        c.argument(
            "app_insights",
            help="Name (in the Web App's resource group) or id of the Application Insights "
            "component that receives the telemetry.",
        )

    with loader.argument_context("otelembed deploy") as c:
        c.argument(
            "image",
            help="App image to embed the collector in. Without a registry's host it is looked for "
            "in the registry of --registry, or in that of the image that runs now. Default: the "
            "image that runs now; if that is embedded already, its recorded base.",
        )
        c.argument(
            "connection_string",
            help="Connection string of an Application Insights component. Use @file, or - for "
            "standard input: a value given here shows up in the shell's history and with --debug.",
        )
        c.argument(
            "connection_string_secret",
            options_list=["--connection-string-secret", "--secret-uri"],
            help="URI of a Key Vault secret that holds the connection string: the app setting then "
            "refers to it, and the site's identity must be allowed to read it.",
        )
        c.argument(
            "registry",
            help="Name of the container registry that --image lies in. Default: the registry of "
            "the image that runs now.",
        )
        c.argument(
            "tag",
            validator=validate_tag,
            help=TAG,
        )
        c.argument(
            "dry_run",
            arg_type=get_three_state_flag(),
            help="Show the plan and change nothing.",
        )
        # Optional here, since --ids and --apps-file name sites too.
        c.argument(
            "ids",
            nargs="+",
            help="Ids of Web Apps or slots, to deploy many in one go. Embeds that several need are "
            "made once; the exit status is the worst one's.",
        )
        c.argument(
            "apps_file",
            help="File with one such id a line (# begins a comment), or - for standard input.",
        )
        c.argument(
            "max_failures",
            type=int,
            validator=validate_max_failures,
            help="With --ids or --apps-file: after so many failures no further Web App begins. "
            "Running the same again goes on with the others.",
        )
        c.argument(
            "swap",
            arg_type=get_three_state_flag(),
            help="After the slot has come up, swap it with production and verify production; if "
            "that doesn't come up, swap back.",
        )
        c.argument(
            "dont_wait",
            # Not az's own no_wait, which throws the result away.
            options_list=["--no-wait"],
            arg_type=get_three_state_flag(),
            help="Don't verify: print the pending release. `az otelembed wait` verifies it then.",
        )

    for command in ("otelembed deploy", "otelembed build", "otelembed dockerfile"):
        with loader.argument_context(command) as c:
            c.argument(
                "launcher",
                arg_type=get_enum_type(LAUNCHERS, default="exec"),
                help="What starts the collector: with `exec` the app is process 1, and what the "
                "collector holds when the container stops is lost; with `drain` a shell is, which "
                "passes signals on and, after a stop signal, waits a little for the last telemetry "
                "to be delivered.",
            )
            c.argument(
                "grace",
                type=int,
                help="With --launcher drain: seconds that the collector is left after the app has "
                "ended. Together with the app's own end they have to fit into "
                "WEBSITES_CONTAINER_STOP_TIME_LIMIT, which is 5 by default. Default: 2.",
            )
            c.argument(
                "collector_logs",
                arg_type=get_enum_type(LOGS, default="null"),
                help="Where the collector's own logs go: nowhere, or to the container's.",
            )

    for command in ("otelembed deploy", "otelembed build"):
        with loader.argument_context(command) as c:
            c.argument(
                "unwrap",
                arg_type=get_three_state_flag(),
                help="Where the app image's own command starts a collector (`otelcol … & exec "
                "app`), leave that out and start the app with the embedded one beside it.",
            )
            c.argument(
                "collector_username",
                help="User name for the registry of --collector-image, where that isn't public. "
                "Azure's own registries need none.",
            )
            c.argument(
                "collector_password",
                help="Its password or token. Use @file, or - for standard input: a value given "
                "here shows up in the shell's history and with --debug.",
            )
            c.argument(
                "shell_image",
                help="For an app image without /bin/sh: image whose static busybox is brought "
                "along to start the collector, such as docker.io/library/busybox:1.36.1-musl.",
            )
            c.argument(
                "source",
                help="Directory with the app's source: its Dockerfile is built by the builder and "
                "pushed as the app image, in which the collector is then embedded. --image names "
                "the app image; by default it is a new tag beside the image that runs now.",
            )
            c.argument(
                "file",
                options_list=["--file", "-f"],
                help="Path of the Dockerfile within --source, or else from here. Default: "
                "Dockerfile, or Containerfile.",
            )
            c.argument(
                "build_arg",
                action="append",
                nargs="+",
                help="Build arguments NAME=VALUE; NAME alone takes the value from the environment. "
                "They stay readable in the image: no secrets.",
            )
            c.argument("target", help="Stage of the Dockerfile to build. Default: the last one.")
            c.argument(
                "builder",
                arg_type=get_enum_type(BUILDERS),
                help="What builds --source. `docker` is docker, buildx or podman on this machine, "
                "whichever is there; `acr` is ACR Tasks, in the registry itself, and needs nothing "
                "here. Default: docker.",
            )

    with loader.argument_context("otelembed build") as c:
        c.argument(
            "image",
            help="App image to embed the collector in, such as <registry>.azurecr.io/shop:1.4.2; "
            "with --source, what to call it.",
        )
        c.argument(
            "registry",
            help="Name of the container registry that --image lies in. Default: the host in "
            "--image.",
        )
        c.argument("tag", validator=validate_tag, help=TAG)

    with loader.argument_context("otelembed dockerfile") as c:
        c.argument(
            "image",
            help="App image to build on. What it starts is read from its registry, unless "
            "--image-entrypoint or --image-cmd tells it. Default: a build argument, APP_IMAGE.",
        )
        c.argument(
            "registry",
            help="Name of the container registry that --image lies in. Default: the host in "
            "--image.",
        )
        c.argument(
            "image_entrypoint",
            help="The app image's ENTRYPOINT, as its Dockerfile has it: a JSON list, or a command "
            "for the shell.",
        )
        c.argument("image_cmd", help="The app image's CMD, in the same way.")
        c.argument(
            "output_dir",
            help="Directory to write Dockerfile.otelembed and otel-collector-config.yml to. A "
            "configuration that is there already is kept. Default: print the Dockerfile.",
        )

    with loader.argument_context("otelembed prune") as c:
        c.argument("registry", help="Name of the container registry to look at.")
        c.argument("repository", help="Only look at this repository of it.")
        c.argument(
            "keep",
            type=int,
            validator=validate_keep,
            help="Keep the images of this many of each Web App's newest releases, not counting "
            "those that were rolled back.",
        )
        c.argument(
            "delete",
            arg_type=get_three_state_flag(),
            help="Delete what nothing needs, after asking. Default: list only.",
        )

    with loader.argument_context("otelembed rollback") as c:
        c.argument(
            "to",
            help="Number of a release in `az otelembed history`, or an image's tag. Default: what "
            "ran before the release that runs now.",
        )

    with loader.argument_context("otelembed remove") as c:
        c.argument(
            "keep_setting",
            arg_type=get_three_state_flag(),
            help="Leave the app setting with the connection string, whoever has set it.",
        )

    with loader.argument_context("otelembed status") as c:
        c.argument(
            "check",
            arg_type=get_three_state_flag(),
            help="End with status 5 and a reason unless the app runs embedded, with its setting, "
            "answers, and no instance is stopped.",
        )
