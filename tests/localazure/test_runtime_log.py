"""The double's platform log has the lines of recorded logs, in their order.

The sequences are those of public logs: the recorded ones that each comes from are named beside it.
"""

from __future__ import annotations

import re
from datetime import datetime

import pytest

from azext_otelembed.verification.attempts import find_attempts
from azext_otelembed.verification.platform_log import parse
from tests.localazure.runtime_log_scenarios import SCENARIOS, shape, started
from tests.localazure.runtime_support import RuntimeFixture, server_image

TERMINATED = [
    "Container spec TerminationMessagePolicy  path ",
    "Container is terminated. Total time elapsed: <n> ms.",
]
STOP = [
    "Container is terminating. Grace period: <n> seconds.",
    "Stop and delete container. Retry count = <n>",
    "Stopping container: <hex>_web.",
    "Deleting container: <hex>_web. Retry count = <n>",
    *TERMINATED,
]
PULL = [
    "Starting EstablishingSiteNetworks INFO",
    "Starting StartingSiteContainers INFO",
    "Container start method called.",
    "Starting PullingImage INFO",
    "Establishing network.",
    "Pulling image: <image>.",
]
MOUNT = [
    "Container is starting.",
    "Starting MountingVolumes INFO",
    "Establishing user namespace if not established already.",
    "Establishing network if not established already.",
    "Mounting volumes.",
    "Nested mountpoint ",
    "Nested mountpoint volatile/logs",
]
CREATE = [
    "Starting CreatingContainer INFO",
    "Creating container.",
    "Creating pipes for streaming container io.",
    "Creating stdout named pipe at /podr/container/pipe/<hex>_web/stdout_<hex>.",
    "Successfully created stdout named pipe at: /podr/container/pipe/<hex>_web/stdout_<hex>.",
    "Opening named pipe /podr/container/pipe/<hex>_web/stdout_<hex> for reading in "
    "non-blocking mode.",
    "Successfully opened named pipe: /podr/container/pipe/<hex>_web/stdout_<hex>.",
    "Successfully removed non-blocking flag from /podr/container/pipe/<hex>_web/stdout_<hex>.",
    "Creating stderr named pipe at /podr/container/pipe/<hex>_web/stderr_<hex>.",
    "Creating container with image: <image> from registry: <registry> "
    "and fully qualified image name: <image>",
    "Starting container: <hex>_web.",
    "Starting watchers and probes.",
    "Starting metrics collection.",
    "Container is running.",
    "Starting CreatingContainer INFO",
    "Container start method finished after <n> ms.",
    "Starting InitiatingSiteWarmUpProbe INFO",
    "Starting WaitingForSiteWarmUpProbeSuccess INFO",
]
BEGIN = [*PULL, *MOUNT, *CREATE]
READY = [
    "Site startup probe succeeded after <n> seconds.",
    "Starting WarmUpProbeSucceeded INFO",
    "Site started.",
    "Started None INFO",
]
OLD_STOPS = [
    "Stopping StoppingSite INFO",
    "Stopping StoppingSiteContainers INFO",
    *STOP,
    "Site: web stopped.",
]
KUDU = [
    "Container start method called.",
    "Pulling image: appsvc/kudulite:bullseye_20260204.5.tuxprod.",
    "Creating container with image: appsvc/kudulite:bullseye_20260204.5.tuxprod from registry: "
    "10.0.0.4:13209 and fully qualified image name: "
    "10.0.0.4:13209/appsvc/kudulite:bullseye_20260204.5.tuxprod",
    "Starting container: <hex>_web_kudu.",
    "Container is running.",
    "Container start method finished after <n> ms.",
]
KUDU_STOPS = [
    "Stopping container: <hex>_web.",
    "Container is terminating. Grace period: <n> seconds.",
    "Stopping container: <hex>_web_kudu.",
    "Deleting container: <hex>_web_kudu. Retry count = <n>",
    *TERMINATED,
    "Kudu: web stopped.",
    "Deleting container: <hex>_web. Retry count = <n>",
]
EXIT = [
    "Container has finished running with exit code: <n>.",
    *STOP,
    "Site container: web terminated during site startup.",
    "Stopping CancellingStartup {}ERR",
    "Site startup probe failed after <n> seconds.",
    "Stopping CancellingStartup ContainerTimeout ERR",
    "Failed to start site. Revert by stopping site.",
    "Stopping StoppingSite ContainerTimeout ERR",
    "Stopping StoppingSiteContainers ContainerTimeout ERR",
    "Site: web stopped.",
]
TIMEOUT = [
    "Site startup probe failed after <n> seconds.",
    "Starting WaitingForSiteWarmUpProbeSuccess ContainerTimeout ERR",
    "Failed to start site. Revert by stopping site.",
    "Stopping StoppingSite ContainerTimeout ERR",
    "Stopping StoppingSiteContainers ContainerTimeout ERR",
    *STOP,
    "Site container: web terminated during site startup.",
    "Stopping CancellingStartup ContainerTimeout ERR",
    "Site: web stopped.",
]
CANCELLED = [
    "Site container: web terminated during site startup.",
    "Stopping CancellingStartup ERR",
    "Stopping CancellingStartup SiteStartupCancelled WARN",
    "Stopping StoppingSite SiteStartupCancelled WARN",
    "Stopping StoppingSiteContainers SiteStartupCancelled WARN",
    "Site: web stopped.",
]
BLOCK = [
    "Stopping UnmountingVolumes ContainerTimeout ERR",
    "Stopping StoppingSiteNetworks ContainerTimeout ERR",
    "Site: web will be blocked for <n> seconds till <time>",
    "Blocked StoppingSiteNetworks ContainerTimeout WARN",
    "Stopped None ContainerTimeout WARN",
    "Blocked None ContainerTimeout WARN",
    "Start site prohibitted because the site is being blocked.",
    "Blocked None ContainerTimeout WARN",
    "Start site prohibitted because the site is being blocked.",
    "Site: web is unblocked.",
]


def after(error: str, lines: list[str]) -> list[str]:
    """The lines of a start that repeats an error; its first ones have the level of that."""
    found = [re.sub(r"^(Start\w+ \w+) (INFO)$", rf"\1 {error} \2", line) for line in lines]
    return [
        line.replace("INFO", "WARN") if "Establishing" in line or "SiteContainers" in line else line
        for line in found
    ]


def exits(error: str = "") -> list[str]:
    """The lines of an exit during a start that began with the last error `error`."""
    return [line.replace("{}", f"{error} " if error else "") for line in EXIT]


OLD_RUN = "INFO  - docker run -d --expose=<n> --name web_<n>_<hex> -e … <image>  "
OLD_MSI_RUN = (
    "INFO  - docker run -d --expose=<n> --name web_<n>_<hex>_msiProxy -e … "
    "appsvc/msitokenservice:2007200210  "
)
OLD_READY = "initialized successfully and is ready to serve requests."
OLD_MSI = [
    "INFO  - Initiating warmup request to container web_<n>_<hex>_msiProxy for site web",
    f"INFO  - Container web_<n>_<hex>_msiProxy for site web {OLD_READY}",
]
OLD_PULL = [
    "INFO  - Pulling image: <image>",
    "INFO  - <n> Pulling from app",
    "INFO  - <hex> Extracting 1KB / 1KB",
    "INFO  - <hex> Pull complete",
    "INFO  -  Digest: <digest>",
    "INFO  -  Status: Downloaded newer image for <image>",
    "INFO  - Pull Image successful, Time taken: <n> Seconds",
]
OLD_BEGIN = [
    "INFO  - Starting container for site",
    OLD_MSI_RUN,
    "",
    *OLD_PULL,
    "INFO  - Starting container for site",
    OLD_RUN,
    "",
    *OLD_MSI,
    "INFO  - Initiating warmup request to container web_<n>_<hex> for site web",
]
OLD_UP = f"INFO  - Container web_<n>_<hex> for site web {OLD_READY}"
OLD_SILENT = (
    "ERROR - Container web_<n>_<hex> didn't respond to HTTP pings on port: <n>, failing site "
    "start. See container logs for debugging."
)
OLD_END = "INFO  - Stopping site web because it failed during startup."
OLD_EXIT = "ERROR - Container web_<n>_<hex> for site web has exited, failing site start"
OLD_LOGIN = [
    "INFO  - Initiating warmup request to container web_<n>_<hex>_middleware for site web",
    f"INFO  - Container web_<n>_<hex>_middleware for site web {OLD_READY}",
]
OLD_UNPULLED = [
    'ERROR - DockerApiException: Docker API responded with status code=NotFound, response={"mess',
    "ERROR - Pull image threw Exception: Input string was not in a correct format.",
    "INFO  - Pulling image from Docker hub: <image>",
    'ERROR - DockerApiException: Docker API responded with status code=NotFound, response={"mess',
    "WARN  - Image pull failed. Defaulting to local copy if present.",
    "ERROR - Image pull failed: Verify docker image configuration and credentials "
    "(if using private repository)",
    OLD_END,
]
OLD_RECYCLE = "INFO  - Recycling container because of AppSettingsChange and isMainSite = True"
REVERTED = "Failed to start site. Revert by stopping site."

EXPECTED: dict[str, list[list[str]]] = {
    # 001, 006
    "good_start": [[*BEGIN, *READY, *BEGIN, *READY, *OLD_STOPS], [*KUDU, *KUDU, *KUDU_STOPS]],
    # 021; the old container: 002
    "exits": [[*BEGIN, *READY, *BEGIN, *exits(), *OLD_STOPS]],
    # 002; the new container ends within its grace, the old one is stopped meanwhile or later
    "times_out": [[*BEGIN, *READY, *BEGIN, *TIMEOUT], [*BEGIN, *READY, *BEGIN, *OLD_STOPS]],
    # 008
    "recovers": [[*BEGIN, *exits(), *after("ContainerTimeout", [*BEGIN, *READY])]],
    # webapps-deploy#455
    "pull_fails": [
        [
            *PULL,
            "Container pull image failed with reason: ImagePullFailure. Revert by terminate.",
            *TERMINATED,
            "Site container: web terminated during site startup.",
            REVERTED,
            "Site: web stopped.",
        ]
    ],
    # 144
    "volume_fails": [
        [
            *PULL,
            *MOUNT,
            "Volume: BYOS_FILES_goods cannot be mounted at /mnt/goods during container: web "
            "startup. The volume mount is required. Terminate.",
            "Container start up failed with reason: VolumeMountFailure. Revert by terminate.",
            "Stopping CancellingStartup BYOSFailure ERR",
            REVERTED,
        ]
    ],
    # 020, 143
    "is_cancelled": [
        [*BEGIN, *READY, *BEGIN, *STOP, *CANCELLED],
        [*CANCELLED, *after("SiteStartupCancelled", [*BEGIN, *READY]), *OLD_STOPS],
    ],
    # 020
    "is_cancelled_early": [
        [
            *PULL,
            "Container pull image interrupted. Revert by terminate.",
            "Container is terminating. Grace period: <n> seconds.",
            *TERMINATED,
            *CANCELLED,
        ]
    ],
    # 014, 021
    "is_blocked": [
        [
            *exits(),
            *after("ContainerTimeout", BEGIN),
            *exits("ContainerTimeout"),
            *BLOCK,
            *after("ContainerTimeout", [*BEGIN, *READY]),
        ]
    ],
    "crashes": [
        [*READY, "Container has finished running with exit code: <n>.", *STOP, *BEGIN, *READY]
    ],
    # 104, 133, 101
    "old_with_identity": [[*OLD_BEGIN, OLD_UP]],
    # 101, 132
    "old_exits": [[*OLD_BEGIN, OLD_EXIT, OLD_SILENT, OLD_END]],
    # 129
    "old_times_out": [
        [
            *OLD_BEGIN,
            "INFO  - Waiting for response to warmup request for container web_<n>_<hex>. "
            "Elapsed time = <n> sec",
            "ERROR - Container web_<n>_<hex> for site web did not start within expected time "
            "limit. Elapsed time = <n> sec",
            OLD_SILENT,
            OLD_END,
        ]
    ],
    # 133
    "old_pull_fails": [[OLD_MSI_RUN, "", "INFO  - Pulling image: <image>", *OLD_UNPULLED]],
    "old_with_login": [[*OLD_BEGIN, OLD_EXIT, OLD_SILENT, *OLD_LOGIN, OLD_END]],
    # 127
    "old_recycles": [[OLD_UP, OLD_RECYCLE, OLD_RUN, OLD_UP, OLD_RECYCLE, OLD_RUN, OLD_UP]],
    # 153
    "two_instances": [[*BEGIN, *READY, *OLD_STOPS, *PULL, *CREATE, *READY, *OLD_STOPS]],
    # 017
    "slot": [
        [
            re.sub("web(?= stopped)", "web__<slot>", line.replace("_web", "_web_<slot>"))
            for line in (*PULL, *MOUNT, *CREATE, *READY, *OLD_STOPS)
        ]
    ],
}


def assert_in_order(expected: list[str], lines: list[str]) -> None:
    """Asserts that `lines` has the beginnings `expected` in this order; others may come between."""
    rest = iter(lines)
    for number, wanted in enumerate(expected):
        found = any(
            line == wanted or (len(wanted) > 80 and line.startswith(wanted)) for line in rest
        )
        assert found, f"no {wanted!r} after {expected[:number][-3:]} in\n" + "\n".join(lines)


@pytest.mark.parametrize("scenario", SCENARIOS)
async def test_the_platforms_lines_come_in_the_order_of_recorded_logs(
    here: RuntimeFixture, scenario: str
) -> None:
    lines = [shape(line) for line in (await SCENARIOS[scenario](here)).splitlines()]
    for expected in EXPECTED[scenario]:
        assert_in_order(expected, lines)
    if not scenario.startswith("old"):
        assert not [line for line in lines if line.startswith("ERROR")]
    if scenario.startswith("is_cancelled"):
        assert REVERTED not in lines
        assert lines.count("Pulling image: <image>.") == 3, "and no start after that"


async def test_a_last_error_is_repeated_with_its_own_time_and_not_by_a_start_beside_a_container(
    here: RuntimeFixture,
) -> None:
    log = await SCENARIOS["recovers"](here)
    stamps = re.findall(r"LastError: ContainerTimeout, LastErrorTimestamp: (.{19})", log)
    assert len(set(stamps)) == 1
    assert "did not start within expected time limit of 230s." in log, "even for an exit"
    (site,) = here.double.state.all_sites()
    await here.set(site, V="2")
    log = await here.until_logged(site, "Site: web stopped.", times=2)
    begun = log.rindex("EstablishingSiteNetworks")
    for line in log[begun:].splitlines():
        stops_old = "State: Stopping" in line
        if "State: " in line:
            assert ("LastError: ContainerTimeout" in line) == stops_old, line


async def test_stop_lines_repeat_when_the_stopped_container_started(here: RuntimeFixture) -> None:
    site = await started(here)
    began = re.search(r"Details: (Site started at .{19} \(UTC\))", here.log(site))
    assert began
    await here.set(site, V="2")
    log = await here.until_logged(site, "Site: web stopped.")
    stops = [line for line in log.splitlines() if "State: Stopping" in line]
    assert len(stops) == 2
    assert all(f"Details: {began[1]}, DetailsLevel: INFO" in line for line in stops)


async def test_the_port_lines_say_where_the_port_comes_from(here: RuntimeFixture) -> None:
    exposed = here.push(server_image(ExposedPorts={"5000/tcp": {}}), "exposed")
    site = await here.site(exposed, app_settings={"WEBSITES_PORT": ""})
    await here.facts(site)
    lines = [line.partition("Z ")[2] for line in here.log(site).splitlines()]
    assert "Container image exposes ports: 5000. Resolved main port to 5000." in lines
    assert "Setting value of PORT variable to 5000" in lines
    await here.set(site, PORT="8000")
    port = "Overriding PORT environment variable with pre-calculated port: 8000."
    assert port in await here.until_logged(site, "Site started.", times=2)


async def test_the_old_formats_times_have_three_digits_and_the_apps_nine(
    here: RuntimeFixture,
) -> None:
    log = await SCENARIOS["old_with_identity"](here)
    for line in filter(None, log.splitlines()):
        stamp, _, text = line.partition(" ")
        digits = 3 if re.match(r"(INFO |WARN |ERROR) - ", text) else 9
        assert re.fullmatch(rf"\d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{{{digits}}}Z", stamp), line
    assert "PAYMENT" not in log


async def test_a_write_into_a_block_waits_for_its_end_and_restarts_of_the_double_do_not_help(
    here: RuntimeFixture,
) -> None:
    site = await here.site(here.push(server_image()), app_settings={"FAIL": "3"})
    log = await here.until_logged(site, "will be blocked")
    until = re.search(r"will be blocked for 0\.8 seconds till (.{19})", log)
    assert until
    await here.set(site, FAIL="")
    here.supervisor.restart(site)
    log = await here.until_logged(site, "Site started.")
    unblocked = re.search(r"(\S+)Z Site: web is unblocked\.", log)
    assert unblocked
    begun = re.findall(r"(\S+)Z Container start method called\.", log)[-1]
    assert begun > unblocked[1]
    told = datetime.strptime(until[1], "%m/%d/%Y %H:%M:%S")
    assert abs((told - datetime.fromisoformat(unblocked[1][:19])).total_seconds()) <= 1


async def test_containerlogs_joins_instances_and_files_unsorted_and_ends_with_the_last_lines(
    here: RuntimeFixture,
) -> None:
    site = await here.site(here.push(server_image()), workers=2)
    await here.until_logged(site, "Site started.", times=2)
    answer = here.supervisor.container_log
    lines = answer(site).splitlines()
    assert sorted(lines) == sorted(here.log(site).splitlines())
    assert lines != here.log(site).splitlines(), "one instance after the other"
    here.double.change_runtime({"log_by_file": True, "log_lines": 3})
    parts = [part.splitlines() for part in answer(site).split("\n\n")]
    assert [len(part) for part in parts] == [2, 3, 2, 3]
    for app, platform in (parts[:2], parts[2:]):
        assert app[0].endswith("listening from cmd")
        assert app[0] < platform[-1]
        assert platform[-2].endswith("Site started.")
    with pytest.raises(ValueError, match="no setting colour"):
        here.double.change_runtime({"colour": "red"})


UP = ""
JUDGED = {
    "good_start": UP,
    "exits": "it exited with status 3",
    "times_out": "it didn't answer on port 8080 within 1 s",
    "recovers": UP,
    "pull_fails": "its image can't be pulled",
    "volume_fails": "a volume can't be mounted at /mnt/goods",
    "is_cancelled": UP,
    "is_cancelled_early": UP,
    "is_blocked": UP,
    "crashes": "it exited with status 9",
    "old_with_identity": UP,
    "old_exits": "it exited",
    "old_times_out": "it didn't answer on port 8080 within 1 s",
    "old_pull_fails": "its image can't be pulled",
    "old_with_login": "it exited",
    "old_recycles": UP,
    "two_instances": UP,
    "slot": UP,
}


@pytest.mark.parametrize("scenario", SCENARIOS)
async def test_the_extension_reads_the_doubles_log_as_what_happened(
    here: RuntimeFixture, scenario: str
) -> None:
    """The same parser reads recorded logs, which holds the double's lines to their grammar."""
    text = await SCENARIOS[scenario](here)
    events = sorted(parse(text), key=lambda event: event.time)
    image = next(one.image for one in reversed(events) if one.image and "appsvc" not in one.image)
    instances = 2 if scenario == "two_instances" else 1
    found = find_attempts(events, image, 0.0, 1, instances)
    reason = found.failed.reason if found.failed else UP
    assert reason.startswith(JUDGED[scenario]), reason
    assert bool(reason) is bool(JUDGED[scenario])
    if not reason:
        assert found.current
        assert all(one.ready for one in found.current)
        assert found.abandoned is None
    assert found.blocked_until is None
