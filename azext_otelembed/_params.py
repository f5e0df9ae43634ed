"""The arguments of the commands, each with its help. az imports this when it parses a command."""

from __future__ import annotations

from typing import Any

from azure.cli.core.commands.parameters import (
    get_enum_type,
    get_three_state_flag,
    resource_group_name_type,
)

from azext_otelembed._actions import SubscriptionAction
from azext_otelembed._completers import site_names, slot_names
from azext_otelembed._validators import (
    validate_health_path,
    validate_keep,
    validate_lines,
    validate_max_failures,
    validate_tag,
    validate_telemetry_wait,
    validate_timeout,
    validate_wait,
)
from azext_otelembed.azure.credentials import CLI, KINDS

BUILDERS = ("docker", "acr")
VALIDATIONS = ("local", "acr")
LAUNCHERS = ("exec", "drain")
LOGS = ("null", "stderr")
FLAG = get_three_state_flag()
VALUE_SOURCES = (
    "Use @file, or - for standard input: a value on the command line is visible in the shell's "
    "history and in the output of --debug."
)


def load_arguments(loader: Any, _command: str) -> None:
    """Declares the arguments (called by az)."""
    for scope, groups in ARGUMENTS:
        with loader.argument_context(scope) as context:
            for declare in groups:
                declare(context)


def _site(c: Any) -> None:
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
        "yes",
        options_list=["--yes", "-y"],
        action="store_true",
        help="Do not prompt for confirmation.",
    )


def _sign_in(c: Any) -> None:
    c.argument("_subscription", options_list=["--subscription"], action=SubscriptionAction)
    c.argument(
        "credential",
        arg_type=get_enum_type(KINDS, default=CLI),
        help="Identity that calls Azure. `cli` is the account of `az login`. The others need "
        "--subscription and no `az login`: `environment` is the service principal in "
        "AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET (or "
        "AZURE_CLIENT_CERTIFICATE_PATH); `workload-identity` uses AZURE_TENANT_ID, "
        "AZURE_CLIENT_ID and the token in the file AZURE_FEDERATED_TOKEN_FILE; "
        "`managed-identity` is the managed identity of this machine (AZURE_CLIENT_ID selects a "
        "user-assigned one).",
    )


def _verification(c: Any) -> None:
    c.argument(
        "health_path",
        validator=validate_health_path,
        help="URL path on the site. The site is healthy if it answers with an HTTP status below "
        "500.",
    )
    c.argument(
        "timeout",
        type=int,
        validator=validate_timeout,
        help="Seconds that the command may take, builds and uploads included; a rollback has its "
        "own time. Default: 2 hours, of which 600 s for the verification (300 for the pull, 230 "
        "for the start, 70 until the old container has stopped), or more if the site's app setting "
        "WEBSITES_CONTAINER_START_TIME_LIMIT is larger than 230.",
    )
    c.argument(
        "no_rollback",
        arg_type=FLAG,
        help="Do not roll back a release that fails to start: leave it in place for inspection.",
    )
    c.argument(
        "accept_unproven",
        arg_type=FLAG,
        help="Accept a site that answers when the time is up, although nothing shows that the new "
        "container serves: end with status 0 instead of 6. `healthy` stays null.",
    )


def _collector(c: Any) -> None:
    c.argument("collector_image", help="OpenTelemetry Collector image, by tag or digest.")
    c.argument(
        "collector_config",
        action="append",
        nargs="+",
        help="Collector configuration file (YAML). Default: receive OTLP on localhost and export "
        "to Application Insights. Several files are merged in their order, as the collector does: "
        "mappings key by key, other values are replaced. Do not put the connection string into "
        "a file: the exporter reads it from the app setting.",
    )
    c.argument(
        "app_insights",
        help="Application Insights component that receives the telemetry: its name (in the Web "
        "App's resource group) or its resource id.",
    )


def _telemetry(c: Any) -> None:
    c.argument(
        "connection_string",
        help=f"Connection string of the Application Insights component. {VALUE_SOURCES}",
    )
    c.argument(
        "connection_string_secret",
        options_list=["--connection-string-secret", "--secret-uri"],
        help="URI of a Key Vault secret that holds the connection string. The app setting becomes "
        "a Key Vault reference, and the site's identity needs permission to read the secret.",
    )


def _tag(c: Any) -> None:
    c.argument(
        "tag",
        validator=validate_tag,
        help="Tag of the embedded image. The tag must not exist yet. Default: "
        "`<base tag>-otelembed-` and the first 12 digits of the recipe's digest. With --source: "
        "tag of the app image; default: the tag in --image, else the git commit if the source "
        "directory has no uncommitted changes, else the time (UTC).",
    )


def _image_of_the_site(c: Any) -> None:
    c.argument(
        "image",
        help="App image to embed the collector in. A name without a registry host is looked up in "
        "the registry of --registry, or in the registry of the running image. Default: the "
        "running image; if that is an embedded image, its recorded base image.",
    )
    c.argument(
        "registry",
        help="Name of the container registry of --image. Default: the registry of the running "
        "image.",
    )


def _image_to_build(c: Any) -> None:
    c.argument(
        "image",
        help="App image to embed the collector in, such as <registry>.azurecr.io/shop:1.4.2. With "
        "--source: name for the app image that is built.",
    )


def _image_of_the_dockerfile(c: Any) -> None:
    c.argument(
        "image",
        help="App image to build on. Its ENTRYPOINT and CMD are read from its registry, unless "
        "--image-entrypoint or --image-cmd is given. Default: the build argument APP_IMAGE.",
    )
    c.argument(
        "image_entrypoint",
        help="ENTRYPOINT of the app image, as in its Dockerfile: a JSON list, or a shell command.",
    )
    c.argument(
        "image_cmd",
        help="CMD of the app image, as in its Dockerfile: a JSON list, or a shell command.",
    )
    c.argument(
        "output_dir",
        help="Directory for Dockerfile.otelembed and otel-collector-config.yml. An existing "
        "configuration file is kept. Default: print the Dockerfile.",
    )


def _registry_in_the_image(c: Any) -> None:
    c.argument(
        "registry",
        help="Name of the container registry of --image. Default: the registry host in --image.",
    )


def _launcher(c: Any) -> None:
    c.argument(
        "launcher",
        arg_type=get_enum_type(LAUNCHERS, default="exec"),
        help="Entrypoint script that starts the collector and the app. `exec`: the app is process "
        "1; telemetry in the collector's queue is lost when the container stops. `drain`: a shell "
        "is process 1 and forwards signals to the app; once the app has ended after a stop signal, "
        "the collector gets --grace seconds to deliver its queue.",
    )
    c.argument(
        "grace",
        type=int,
        help="Seconds that the collector runs on after the app has ended, with --launcher drain. "
        "The app's own shutdown and the grace period must fit into "
        "WEBSITES_CONTAINER_STOP_TIME_LIMIT (5 seconds by default). Default: 2.",
    )
    c.argument(
        "collector_logs",
        arg_type=get_enum_type(LOGS, default="null"),
        help="Destination of the collector's own logs. `null` discards them; `stderr` writes them "
        "to the container log.",
    )


def _embedding(c: Any) -> None:
    c.argument(
        "unwrap",
        arg_type=FLAG,
        help="If the app image's own command starts a collector (`otelcol … & exec app`), remove "
        "that part of the command and start the app with the embedded collector.",
    )
    c.argument(
        "collector_username",
        help="User name for the registry of --collector-image, if it is private. Azure container "
        "registries need none.",
    )
    c.argument(
        "collector_password",
        help=f"Password or token for the registry of --collector-image. {VALUE_SOURCES}",
    )
    c.argument(
        "shell_image",
        help="Image with a static busybox, such as docker.io/library/busybox:1.36.1-musl. Its "
        "shell starts the collector in an app image that has no /bin/sh.",
    )


def _source(c: Any) -> None:
    c.argument(
        "source",
        help="Directory with the app's source. The builder builds its Dockerfile and pushes the "
        "app image, and the collector is embedded in that. --image names the app image; default: "
        "a new tag in the repository of the running image.",
    )
    c.argument(
        "file",
        options_list=["--file", "-f"],
        help="Path of the Dockerfile, relative to --source or to the current directory. Default: "
        "Dockerfile, or Containerfile.",
    )
    c.argument(
        "build_arg",
        action="append",
        nargs="+",
        help="Build arguments, NAME=VALUE. NAME alone takes the value from the environment. Do not "
        "pass secrets: build arguments are readable in the image.",
    )
    c.argument("target", help="Stage of the Dockerfile to build. Default: the last stage.")
    c.argument(
        "builder",
        arg_type=get_enum_type(BUILDERS),
        help="Builder for --source. `docker` uses docker buildx, docker or podman on this machine, "
        "the first that works; `acr` uses ACR Tasks in the registry and needs no local engine. "
        "Default: docker.",
    )


def _several_sites(c: Any) -> None:
    # Optional here, since --ids and --apps-file name sites too.
    c.argument(
        "ids",
        nargs="+",
        help="Resource ids of Web Apps or slots, to deploy to several sites in one run. An "
        "embedded image that several sites need is built once. The exit status is that of the "
        "worst site.",
    )
    c.argument(
        "apps_file",
        help="File with one resource id per line (# starts a comment), or - for standard input.",
    )
    c.argument(
        "max_failures",
        type=int,
        validator=validate_max_failures,
        help="Number of failed sites after which no further site is started, with --ids or "
        "--apps-file. An unproven site counts, unless --accept-unproven is given. The same command "
        "run again continues with the remaining sites.",
    )


def _release(c: Any) -> None:
    c.argument("dry_run", arg_type=FLAG, help="Show the plan and change nothing.")
    c.argument(
        "swap",
        arg_type=FLAG,
        help="Swap the slot with production after the slot is verified, then verify production. "
        "If production fails to start, swap back. An unproven slot is not swapped, unless "
        "--accept-unproven is given.",
    )
    c.argument(
        "dont_wait",
        # Not az's own no_wait, which throws the result away.
        options_list=["--no-wait"],
        arg_type=FLAG,
        help="Do not verify: print the pending release. `az otelembed wait` verifies it later.",
    )


def _status(c: Any) -> None:
    c.argument(
        "check",
        arg_type=FLAG,
        help="Exit with status 5 and a reason unless the site is running with an embedded image, "
        "has a valid app setting of the expected component, answers, has no stopped instance, and "
        "its telemetry arrives (as with --telemetry). Exit with status 6 if that can't be told.",
    )
    c.argument(
        "telemetry",
        arg_type=FLAG,
        help="Ask Application Insights which telemetry of this site has arrived: how much, when, "
        "and from which release. Needs the role Monitoring Reader or Reader on the component.",
    )


def _arrival(c: Any) -> None:
    c.argument(
        "window",
        help="Time span before now within which telemetry counts, such as 90s, 15m, 2h or 1d.",
    )
    c.argument(
        "wait",
        type=int,
        validator=validate_wait,
        help="Seconds to wait for telemetry of the running release. A few requests are sent to "
        "--health-path meanwhile. Telemetry can be queried 20 s to 3 min after it was sent, so "
        "missing telemetry counts as lost only after 180 s.",
    )


def _logs(c: Any) -> None:
    c.argument(
        "follow",
        options_list=["--follow", "-f"],
        arg_type=FLAG,
        help="Print new lines until Ctrl-C. With -o, each line is a JSON object.",
    )
    c.argument(
        "collector",
        arg_type=FLAG,
        help="Print only lines of the launcher and the collector. The collector's own logs are in "
        "the container log if the image was made with --collector-logs stderr.",
    )
    c.argument(
        "lines",
        type=int,
        validator=validate_lines,
        help="Number of lines to print, the newest ones.",
    )


def _telemetry_wait(c: Any) -> None:
    c.argument(
        "wait_for_telemetry",
        type=int,
        validator=validate_telemetry_wait,
        help="Seconds to wait, once the site is verified, until telemetry of this release can be "
        "queried in Application Insights. A few requests are sent to --health-path meanwhile. "
        "Telemetry that isn't seen is a warning; it takes 20 s to 3 min. Telemetry that is seen "
        "also proves a release that is otherwise unproven. Needs the role Monitoring Reader or "
        "Reader on the component.",
    )
    c.argument(
        "require_telemetry",
        arg_type=FLAG,
        help="Telemetry that isn't seen within --wait-for-telemetry seconds (default: 300) fails "
        "the verification, and so rolls the release back.",
    )


def _rollback(c: Any) -> None:
    c.argument(
        "to",
        help="Number of a release in `az otelembed history`, or tag of an image. Default: the "
        "image that ran before the current release.",
    )
    c.argument(
        "from_release",
        options_list=["--from"],
        help="Id of the release in `az otelembed history` to go back from. If the Web App runs "
        "another one, nothing is changed: the command succeeds if this rollback was made already, "
        "and fails otherwise. Default: the release that the Web App runs.",
    )


def _remove(c: Any) -> None:
    c.argument(
        "keep_setting",
        arg_type=FLAG,
        help="Keep the app setting with the connection string, even if a release has set it.",
    )


def _config_validate(c: Any) -> None:
    c.positional(
        "files",
        nargs="+",
        metavar="FILE",
        help="Collector configuration file (YAML). Several files are merged in their order: "
        "mappings key by key, other values are replaced.",
    )


def _registry_of_the_collector(c: Any) -> None:
    c.argument(
        "registry",
        help="Name of the container registry that has the prepared collector. The collector "
        "validates the configuration, too: on this machine, in a sandbox, unless --validate says "
        "otherwise.",
    )


def _validate(c: Any) -> None:
    c.argument(
        "validate",
        arg_type=get_enum_type(VALIDATIONS),
        help="Let the collector itself validate its configuration (`otelcol validate`), with "
        "placeholders for the app settings. `local`: on this machine (Linux, x86-64), in a sandbox "
        "without network and files; the binary is read from the registry once. `acr`: in a quick "
        "run of ACR Tasks.",
    )


def _config_show(c: Any) -> None:
    c.argument(
        "default",
        arg_type=FLAG,
        help="Show the default configuration of this version instead of a Web App's.",
    )


def _prune(c: Any) -> None:
    c.argument("registry", help="Name of the container registry.")
    c.argument("repository", help="Name of the repository. Default: all repositories.")
    c.argument(
        "keep",
        type=int,
        validator=validate_keep,
        help="Number of each Web App's newest releases whose images are kept. Releases that were "
        "rolled back do not count.",
    )
    c.argument(
        "delete",
        arg_type=FLAG,
        help="Delete the images that are not needed, after confirmation. Default: list only.",
    )


ARGUMENTS = (
    ("otelembed", (_site, _sign_in, _verification, _collector)),
    (
        "otelembed deploy",
        (
            *(_image_of_the_site, _tag, _source, _embedding, _launcher),
            *(_telemetry, _several_sites, _release, _telemetry_wait, _validate),
        ),
    ),
    (
        "otelembed build",
        (_image_to_build, _registry_in_the_image, _tag, _source, _embedding, _launcher, _validate),
    ),
    ("otelembed dockerfile", (_image_of_the_dockerfile, _registry_in_the_image, _launcher)),
    ("otelembed status", (_status, _arrival)),
    ("otelembed doctor", (_arrival,)),
    ("otelembed logs", (_logs,)),
    ("otelembed wait", (_telemetry_wait,)),
    ("otelembed rollback", (_rollback,)),
    ("otelembed remove", (_remove,)),
    ("otelembed prune", (_prune,)),
    ("otelembed config validate", (_config_validate, _registry_of_the_collector, _validate)),
    ("otelembed config show", (_config_show,)),
)
"""The argument groups of every command, and of each one."""
