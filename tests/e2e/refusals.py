"""Commands that `az otelembed` refuses, and input that it refuses: the tables of test_refusals."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from tests.e2e.support import SETTING

KEY = "7d7e6f5a-1b2c-4d3e-8f90-a1b2c3d4e5f6"
GOOD = f"InstrumentationKey={KEY};IngestionEndpoint=https://localhost:1/"
NOBODY = "99999999-9999-4999-8999-999999999999"
DIGEST = "sha256:" + "0" * 64
TYPE_LIST = "az resource list --resource-type Microsoft.Insights/components"


@dataclass(frozen=True, slots=True)
class Row:
    """A command, how it ends and what it says, spaces aside.

    `arguments` come after `deploy -g … -n …` of the site `site` (or stand alone: `whole`). Names
    in braces are filled in from what the fixture has made, in `says` too.
    """

    title: str
    arguments: str
    says: tuple[str, ...]
    status: int = 1
    site: str = "plain"
    caller: str = "owner"
    input: str | None = None
    whole: bool = False

    @property
    def wanted(self) -> dict[str, str] | None:
        """What the deploy wants, by its names in Python; None where az itself has a part in it.

        That is the case for other commands, values that az's layer checks or reads from files, and
        a caller who isn't logged in.
        """
        options = shlex.split(self.arguments)
        names = ("image", "registry", "app_insights", "collector_image", "slot", "group", "name")
        if self.whole:
            if options.pop(0) != "deploy":
                return None
            short = {"-g": "--group", "-n": "--name"}
            options = [short.get(option, option) for option in options]
        given = {
            option.removeprefix("--").replace("-", "_"): value
            for option, value in zip(options[::2], options[1::2], strict=False)
        }
        if len(options) % 2 or not given.keys() <= set(names) or self.caller == "nobody":
            return None
        return given


NOT_FOUND = (
    Row(
        "a site that isn't there",
        "deploy -g {plain.group} -n nosuch",
        (
            "Web App 'nosuch' was not found in resource group '{plain.group}'.",
            '`az webapp list -g {plain.group} --query "[].name" -o tsv`',
        ),
        status=3,
        whole=True,
    ),
    Row(
        "a slot that isn't there",
        "--slot nosuch",
        (
            "Slot 'nosuch' of Web App '{plain.name}' was not found",
            "`az webapp deployment slot list -g {plain.group} -n {plain.name} "
            '--query "[].name" -o tsv`',
        ),
        status=3,
    ),
    Row(
        "a resource group that isn't there",
        "deploy -g nosuch -n {plain.name}",
        (
            "Resource group 'nosuch' was not found in subscription '{subscription}'.",
            "`az group list -o table`",
        ),
        status=3,
        whole=True,
    ),
    Row(
        "a subscription that isn't there",
        "--subscription {nobody}",
        ("Subscription '{nobody}' not found",),
    ),
    Row(
        "a registry that isn't there",
        "--registry nosuch --image app:1.0",
        (
            "Container registry 'nosuch' was not found in subscription",
            "shopregistry",
            "`az acr list -o table`",
        ),
        status=3,
    ),
    Row(
        "a tag that isn't there",
        "--image {plain.repository}:nosuch",
        (
            "{plain.host}/{plain.repository}:nosuch was not found",
            "`az acr repository show-tags -n ",
            "--repository {plain.repository}",
        ),
        status=3,
    ),
    Row(
        "a digest that isn't there",
        "--image {plain.repository}@{digest}",
        ("{plain.host}/{plain.repository}@{digest} was not found",),
        status=3,
    ),
    Row(
        "a repository that isn't there",
        "--image nosuch/app:1.0",
        ("{plain.host}/nosuch/app:1.0 was not found", "`az acr repository"),
        status=3,
    ),
    Row(
        "a component's name that isn't there",
        "--app-insights nosuch",
        ("Application Insights component 'nosuch'", "was not found", TYPE_LIST),
        status=3,
    ),
    Row(
        "a component's id that isn't there",
        "--app-insights {component}-nosuch",
        ("Application Insights component '{component}-nosuch'", "was not found", TYPE_LIST),
        status=3,
    ),
    Row(
        "an id that isn't a component's",
        "--app-insights {plain.id}",
        ("'{plain.id}' isn't the id of an Application Insights component.", TYPE_LIST),
    ),
    Row(
        "two components to choose from",
        "",
        (
            "Resource group '{two.group}' has 2 Application Insights components to choose from: "
            "'another', '{two.name}-insights'.",
            "`--app-insights another`",
        ),
        site="two",
    ),
    Row(
        "no component at all",
        "",
        (
            "Web App '{none.name}' has no app setting " + SETTING,
            "resource group '{none.group}' has none either",
            "--app-insights <name or id>",
            "--connection-string @file",
        ),
        status=3,
        site="none",
    ),
    Row(
        "a linked component that is gone",
        "",
        ("Application Insights component '{component}-gone'", "was not found", TYPE_LIST),
        status=3,
        site="linked",
    ),
)

KINDS = (
    Row(
        "a Windows site",
        "",
        (
            "Web App '{windows.name}' runs on Windows.",
            "Linux Web Apps that run one custom container",
            "`az webapp show -g {windows.group} -n {windows.name} --query kind`",
        ),
        site="windows",
    ),
    Row(
        "a COMPOSE site",
        "",
        (
            "Web App '{compose.name}' runs a multi-container (COMPOSE) configuration.",
            "works on single containers",
            "`az webapp config container show -g {compose.group} -n {compose.name}`",
        ),
        site="compose",
    ),
    Row(
        "a SITECONTAINERS site without a main container",
        "",
        (
            "Web App '{sidecars.name}' runs site containers, but none of them is the main one.",
            "`az webapp sitecontainers list -g {sidecars.group} -n {sidecars.name}`",
        ),
        site="sidecars",
    ),
    Row(
        "a code-only site",
        "",
        (
            "Web App '{code.name}' runs the built-in image NODE|20-lts, not a custom container.",
            "`az webapp config container show -g {code.group} -n {code.name}`",
        ),
        site="code",
    ),
    Row(
        "a Linux site with nothing at all",
        "",
        ("Web App '{empty.name}' runs no container image, not a custom container.",),
        site="empty",
    ),
)

IMAGES = (
    Row(
        "an image for arm64 alone",
        "--image {plain.repository}:arm",
        ("{plain.host}/{plain.repository}:arm", "linux/arm64", "linux/amd64"),
    ),
    Row(
        "an index without linux/amd64",
        "--image {plain.repository}:index",
        ("{plain.host}/{plain.repository}:index", "linux/arm64", "windows/amd64", "linux/amd64"),
    ),
    Row(
        "a Windows image",
        "--image {plain.repository}:windows",
        ("{plain.host}/{plain.repository}:windows is a Windows image", "works on Linux"),
    ),
    Row(
        "a schema 1 manifest",
        "--image {plain.repository}:ancient",
        ("{plain.host}/{plain.repository}:ancient", "schema 1"),
    ),
    Row(
        "an artifact that isn't an image",
        "--image {plain.repository}:chart",
        ("{plain.host}/{plain.repository}:chart",),
    ),
    Row(
        "a site whose image is on Docker Hub",
        "",
        (
            "docker.io/library/nginx:1.27 is not in an Azure container registry",
            "`az acr import -n <registry> --source docker.io/library/nginx:1.27`",
            "--image <registry>.azurecr.io/<repository>:<tag>",
        ),
        site="hub",
    ),
    Row(
        "an image named on another registry than Azure's",
        "--image ghcr.io/someone/app:1",
        ("ghcr.io/someone/app:1 is not in an Azure container registry", "`az acr import"),
    ),
    Row(
        "a registry that nobody answers for",
        "--image localhost:1/app:1",
        ("Registry 'localhost:1' can't be reached", "connection refused"),
    ),
    Row(
        "a base without a shell",
        "",
        (
            "{scratch.host}/{scratch.repository}:1.0 has no /bin/sh",
            "`-slim` or `alpine`",
        ),
        site="scratch",
    ),
    Row(
        "a base with neither Entrypoint nor Cmd",
        "",
        ("{bare.host}/{bare.repository}:1.0", "ENTRYPOINT", "CMD", "Dockerfile"),
        site="bare",
    ),
    Row(
        "a site whose own image is gone",
        "",
        ("{gone.host}/{gone.repository}:2.0 was not found",),
        status=3,
        site="gone",
    ),
    Row(
        "a registry and an image of another one",
        "--registry {registry} --image localhost:1/app:1",
        ("--image 'localhost:1/app:1' isn't in the registry '{registry}' ({plain.host}).",),
    ),
    Row(
        "another registry than the site's, with no image named",
        "--registry {fresh}",
        ("--registry '{fresh}' is", "runs {plain.host}/{plain.repository}:1.0", "--image"),
    ),
)

RIGHTS = (
    Row(
        "a caller who may not read app settings",
        "",
        (
            "App settings of Web App '{plain.name}'",
            "not allowed",
            "Microsoft.Web/sites/config/list/action",
        ),
        caller="reader",
    ),
    Row(
        "a caller without any right on the site",
        "",
        ("Web App '{plain.name}'", "not allowed", "Microsoft.Web/sites/read"),
        caller="stranger",
    ),
    Row(
        "a caller without rights on the registry",
        "",
        ("Registry '{plain.host}'", "AcrPush"),
        caller="websites",
    ),
    Row(
        "a caller who may pull and not push",
        "--collector-image {hub}/otel/opentelemetry-collector-contrib:0.150.0",
        ("Registry '{plain.host}' doesn't allow push", "AcrPush", "the site is unchanged"),
        caller="puller",
    ),
    Row(
        "nobody logged in",
        "",
        ("az login",),
        caller="nobody",
    ),
)

ARGUMENTS = (
    Row(
        "an image with a repository in upper case",
        "--image Shop/App:1",
        ("--image", "'App' must be in lower case", "myregistry.azurecr.io/shop:1.0"),
    ),
    Row(
        "an image with a short digest",
        "--image app@sha256:abc",
        ("--image", "A sha256 digest has 64 lower-case hex digits, not 'abc'"),
    ),
    Row(
        "a collector image with a repository in upper case",
        "--collector-image Otel/Collector:1",
        ("--collector-image", "'Collector' must be in lower case"),
    ),
    Row("a tag with a repository", "--tag app:1", ("--tag 'app:1' isn't a valid", "`--tag 1.4.2`")),
    Row("a tag that is too long", "--tag " + "x" * 129, ("isn't a valid image tag", "128")),
    Row("an empty tag", "--tag ''", ("isn't a valid image tag",)),
    Row("a timeout of nothing", "--timeout 0", ("--timeout 0", "`--timeout 600`")),
    Row("a timeout below nothing", "--timeout=-5", ("--timeout -5", "`--timeout 600`")),
    Row(
        "a wait for telemetry of nothing",
        "--wait-for-telemetry 0",
        ("--wait-for-telemetry 0", "`--wait-for-telemetry 300`"),
    ),
    Row(
        "a wait for telemetry without a verification",
        "--require-telemetry --no-wait",
        ("cannot be combined with --no-wait", "`az otelembed wait`"),
    ),
    Row(
        "a window that is no time span",
        "status -g {plain.group} -n {plain.name} --telemetry --window 15",
        ("--window '15'", "`--window 15m`"),
        whole=True,
    ),
    Row(
        "a wait of less than nothing",
        "status -g {plain.group} -n {plain.name} --wait=-1",
        ("--wait -1", "`--wait 180`"),
        whole=True,
    ),
    Row("a timeout that isn't a number", "--timeout abc", ("'abc'",), status=2),
    Row("a health path without a slash", "--health-path health", ("'health'", "/health")),
    Row("a health path on another host", "--health-path //evil", ("'//evil'", "/health")),
    Row("a health path with spaces", "--health-path '/a b'", ("'/a b'", "/health")),
    Row(
        "no site named",
        "deploy -g {plain.group}",
        ("No Web App was named.", "-g and -n", "--ids"),
        whole=True,
    ),
    Row("an unknown argument", "--nosuch", ("--nosuch",), status=2),
)

COLLECTORS = (
    Row(
        "a collector image that isn't there",
        "--collector-image docker.io/otel/nosuch:1.0",
        ("otel/nosuch:1.0", "127.0.0.1"),
        status=3,
    ),
    Row(
        "a collector image without a collector",
        "--collector-image {plain.host}/{plain.repository}:1.0",
        ("collector image {plain.host}/{plain.repository}:1.0",),
        site="fresh",
    ),
    Row(
        "a collector image for arm64 alone",
        "--collector-image {plain.host}/{plain.repository}:arm",
        ("{plain.repository}:arm", "linux/arm64", "linux/amd64"),
        site="fresh",
    ),
    *(
        Row(f"a collector configuration that {fault}", f"--collector-config {{files}}/{name}", says)
        for fault, name, says in (
            ("isn't there", "nosuch.yml", ("--collector-config", "nosuch.yml'", "No such file")),
            ("is a folder", "", ("--collector-config", "Is a directory")),
            ("can't be read", "unreadable.yml", ("--collector-config", "unreadable.yml' can't be")),
            ("is not UTF-8", "latin1.yml", ("--collector-config", "latin1.yml", "UTF-8")),
            ("is larger than fits", "large.yml", ("--collector-config", "large.yml", "at most")),
            ("is far too large", "huge.yml", ("--collector-config", "huge.yml", "larger than")),
            ("is empty", "empty.yml", ("--collector-config", "empty.yml")),
            ("is no YAML", "syntax.yml", ("--collector-config", "syntax.yml", "ine ")),
            (
                "names what it doesn't define",
                "undefined.yml",
                ("--collector-config", "undefined.yml", "ine 9", "'nosuch', which is not conf"),
            ),
            (
                "has an unknown key",
                "typo.yml",
                ("typo.yml", "line 10: the key 'exportes'", "Did you mean 'exporters'?"),
            ),
            ("has no pipelines", "idle.yml", ("--collector-config", "idle.yml", "no pipelines")),
            (
                "holds a key in plain text",
                "secret.yml",
                (
                    "--collector-config",
                    "secret.yml",
                    "ine 5",
                    "in plain text",
                    "${{env:APPLICATIONINSIGHTS_CONNECTION_STRING}}",
                ),
            ),
        )
    ),
)

STRINGS = (
    Row(
        "a connection string and a component",
        "--connection-string @{files}/good.txt --app-insights x",
        ("--connection-string", "exclude each other", "Give one of"),
    ),
    Row(
        "a connection string's file that isn't there",
        "--connection-string @{files}/nosuch.txt",
        (
            "--connection-string",
            "the file '{files}/nosuch.txt' doesn't exist or can't be read",
            "@appinsights.txt",
        ),
    ),
    Row(
        "an empty standard input",
        "--connection-string -",
        ("--connection-string", "empty", "az resource show"),
        input="",
    ),
    Row(
        "a standard input that isn't a connection string",
        "--connection-string -",
        ("--connection-string", "has no InstrumentationKey", "az resource show"),
        input="SecretPart={key}\n",
    ),
    Row(
        "a connection string's file with rubbish in it",
        "--connection-string @{files}/rubbish.txt",
        ("--connection-string", "Part 1", "Key=value", "az resource show"),
    ),
    Row(
        "a setting that the site has and that can't work",
        "",
        ("The app setting " + SETTING + " of Web App '{broken.name}'", "GUID", "az resource show"),
        site="broken",
    ),
)

IMAGE_NAMES = (
    ("my app' is not a repository's name", "my app:1"),
    ("''", ""),
    ("'md5'", "app@md5:abc"),
    ("128", "app:" + "x" * 129),
    ("'-1'", "app:-1"),
    ("https", "https://shop.azurecr.io/app:1"),
    ("'a//b'", "localhost:1/a//b"),
    ("'-a'", "localhost:1/-a"),
    ("255", "localhost:1/" + "a" * 300),
)
COLLECTOR_NAMES = (*IMAGE_NAMES[:6], ("lower case", "Otel/Collector:1"))

CONNECTION_STRINGS = (
    ("is empty", "  "),
    ("no InstrumentationKey", "IngestionEndpoint=https://localhost:1/"),
    ("no InstrumentationKey", ";;;"),
    ("is not a GUID", "InstrumentationKey=secret-and-no-guid"),
    ("is not a GUID", f"InstrumentationKey={KEY}0"),
    ("is not an https address", f"InstrumentationKey={KEY};IngestionEndpoint=http://secret/"),
    ("is not an https address", f"InstrumentationKey={KEY};IngestionEndpoint=secret"),
    ("is not an https address", f"InstrumentationKey={KEY};LiveEndpoint=https://u:secret@host/"),
    ("is not an https address", f"InstrumentationKey={KEY};IngestionEndpoint=https://[secret/"),
    ("Part 2 of the connection string is not", f"InstrumentationKey={KEY};secret"),
    ("Part 1 of the connection string is not", "secret and rubbish"),
    ("Part 2 of the connection string repeats", f"InstrumentationKey={KEY};instrumentationkey=a"),
    ("only an instrumentation key", KEY),
    ("the file '/secret/no/such/file' doesn't exist", "@/secret/no/such/file"),
    ("line breaks", f"InstrumentationKey={KEY}\nsecret"),
    ("characters long", f"InstrumentationKey={KEY};" + "secret" * 2000),
    ("is not a domain name", f"InstrumentationKey={KEY};EndpointSuffix=secret suffix"),
)

OTHER_COMMANDS = (
    Row(
        "status of a site that isn't there",
        "status -g {plain.group} -n nosuch",
        ("Web App 'nosuch' was not found in resource group '{plain.group}'.", "az webapp list"),
        status=3,
        whole=True,
    ),
    Row(
        "status of a slot that isn't there",
        "status -g {plain.group} -n {plain.name} --slot nosuch",
        ("Slot 'nosuch' of Web App '{plain.name}' was not found", "az webapp deployment slot list"),
        status=3,
        whole=True,
    ),
    Row(
        "status for a caller without any right on the site",
        "status -g {plain.group} -n {plain.name}",
        ("Web App '{plain.name}'", "not allowed", "Microsoft.Web/sites/read"),
        caller="stranger",
        whole=True,
    ),
    Row(
        "status with a configuration that isn't there",
        "status -g {plain.group} -n {plain.name} --collector-config {files}/nosuch.yml",
        ("--collector-config", "nosuch.yml'", "No such file"),
        whole=True,
    ),
    Row(
        "an error with --only-show-errors",
        "deploy -g {plain.group} -n nosuch --only-show-errors",
        ("Web App 'nosuch' was not found in resource group '{plain.group}'.",),
        status=3,
        whole=True,
    ),
)

ROWS = (*NOT_FOUND, *KINDS, *IMAGES, *RIGHTS, *ARGUMENTS, *COLLECTORS, *STRINGS, *OTHER_COMMANDS)
IN_PROCESS = tuple(row for row in ROWS if row.wanted is not None and row not in ARGUMENTS)
"""Rows that need no az: the deploy itself refuses them."""
WITH_AZ = (
    "a site that isn't there",
    "a registry that isn't there",
    "two components to choose from",
    "a COMPOSE site",
    "a Windows image",
    "a base without a shell",
    "a caller who may not read app settings",
    "a collector image that isn't there",
)
"""Rows of those that `make test` runs with az all the same: one of each kind."""
