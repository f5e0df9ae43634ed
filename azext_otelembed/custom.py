"""The commands behind `az otelembed`: arguments → call → result object."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from azext_otelembed.az_commands import DEFAULT
from azext_otelembed.command_frame import (
    command_frame,
    confirmed,
    end_with,
    format_asked,
    person_reads,
)
from azext_otelembed.console import Console, write
from azext_otelembed.deadline import READING, Deadline
from azext_otelembed.errors import InvalidInput
from azext_otelembed.inputs import (
    binary_cache,
    config_problems,
    embed_options,
    launcher_of,
    login_of,
    named_sites,
    read_config,
    seconds_of,
    setting_options,
    validation_of,
)

if TYPE_CHECKING:
    from azext_otelembed.azure.session import Session
    from azext_otelembed.release.deploy import DeployRequest
    from azext_otelembed.release.deploy_result import Outcome
    from azext_otelembed.release.planned_release import PlannedRelease
    from azext_otelembed.release.release_context import ReleaseOptions
    from azext_otelembed.target.embed_target import EmbedOptions
    from azext_otelembed.target.from_source import AppSource

DEFAULT_COLLECTOR = "docker.io/otel/opentelemetry-collector-contrib:0.150.0"

DEFAULT_WINDOW = "15m"
TELEMETRY_SECONDS = 300
"""Seconds that --require-telemetry waits alone: rows take up to 3 minutes."""

Result = dict[str, Any]


def deploy(
    cmd: Any,
    resource_group_name: str | None = None,
    name: str | None = None,
    slot: str | None = None,
    image: str | None = None,
    collector_image: str = DEFAULT_COLLECTOR,
    collector_config: list[list[str]] | None = None,
    app_insights: str | None = None,
    connection_string: str | None = None,
    registry: str | None = None,
    tag: str | None = None,
    timeout: int | None = None,
    health_path: str = "/",
    dry_run: bool = False,
    no_rollback: bool = False,
    accept_unproven: bool = False,
    dont_wait: bool = False,
    connection_string_secret: str | None = None,
    swap: bool = False,
    ids: list[str] | None = None,
    apps_file: str | None = None,
    max_failures: int | None = None,
    source: str | None = None,
    file: str | None = None,
    build_arg: list[list[str]] | None = None,
    target: str | None = None,
    builder: str | None = None,
    credential: str = "cli",
    unwrap: bool = False,
    collector_username: str | None = None,
    collector_password: str | None = None,
    launcher: str = "exec",
    collector_logs: str = "null",
    grace: int | None = None,
    shell_image: str | None = None,
    validate: str | None = None,
    wait_for_telemetry: int | None = None,
    require_telemetry: bool = False,
) -> Result:
    """`az otelembed deploy`."""
    with command_frame(cmd) as console:
        from azext_otelembed.release.deploy import DeployRequest

        setting = setting_options(connection_string, connection_string_secret, app_insights)
        session = _session_opener(cmd, credential, Deadline(None if ids or apps_file else timeout))
        app = _app(session, console, (source, file, build_arg, target, builder, tag))
        embed = _embed(
            *(cmd, collector_image, collector_config, launcher, collector_logs, grace, validate),
            tag=None if app else tag,
            login=login_of(collector_username, collector_password, connection_string),
            **{"unwrap": unwrap, "shell_image": shell_image},
        )
        verdict = (timeout, health_path, accept_unproven, not no_rollback, not dont_wait)
        release = _options(*verdict, (wait_for_telemetry, require_telemetry, app_insights))
        request = DeployRequest(embed, release, setting, image, registry, app, dry_run, swap)
        sites = (resource_group_name, name, slot), (ids, apps_file)
        outcome = _deploy(session, *sites, request, max_failures, console)
        end_with(cmd, outcome.exit_status)
        return outcome.result


def build(
    cmd: Any,
    image: str,
    registry: str | None = None,
    collector_image: str = DEFAULT_COLLECTOR,
    collector_config: list[list[str]] | None = None,
    tag: str | None = None,
    source: str | None = None,
    file: str | None = None,
    build_arg: list[list[str]] | None = None,
    target: str | None = None,
    builder: str | None = None,
    credential: str = "cli",
    unwrap: bool = False,
    collector_username: str | None = None,
    collector_password: str | None = None,
    launcher: str = "exec",
    collector_logs: str = "null",
    grace: int | None = None,
    shell_image: str | None = None,
    validate: str | None = None,
) -> Result:
    """`az otelembed build`."""
    with command_frame(cmd) as console:
        from azext_otelembed.release.build import build as run

        session = _session_opener(cmd, credential, Deadline())
        app = _app(session, console, (source, file, build_arg, target, builder, tag))
        embed = _embed(
            *(cmd, collector_image, collector_config, launcher, collector_logs, grace, validate),
            tag=None if app else tag,
            unwrap=unwrap,
            shell_image=shell_image,
            login=login_of(collector_username, collector_password),
        )
        return run(session(), image, registry, embed, app, console)


def dockerfile(
    cmd: Any,
    image: str | None = None,
    registry: str | None = None,
    image_entrypoint: str | None = None,
    image_cmd: str | None = None,
    collector_image: str = DEFAULT_COLLECTOR,
    collector_config: list[list[str]] | None = None,
    output_dir: str | None = None,
    credential: str = "cli",
    launcher: str = "exec",
    collector_logs: str = "null",
    grace: int | None = None,
) -> Result | None:
    """`az otelembed dockerfile`."""
    with command_frame(cmd) as console:
        from azext_otelembed.release import dockerfile as files

        config = read_config(collector_config, collector_image)
        if collector_config is None and output_dir is not None:
            # An earlier run's configuration is used again: it may have been edited.
            written = files.config_in(output_dir)
            found = [[written]] if written else None
            config = read_config(found, collector_image, "--output-dir")
        used = launcher_of(launcher, collector_logs, grace)
        embed = embed_options(collector_image, config, used)
        session = _session_opener(cmd, credential, Deadline(longest=READING))
        text = files.dockerfile(
            session, embed, image, registry, image_entrypoint, image_cmd, console
        )
        if output_dir is not None:
            given = collector_config is not None
            return files.write(text, embed.config, output_dir, own_config=given)
        if format_asked(cmd):
            return {"dockerfile": text, "config": embed.config.decode()}
        write(sys.stdout, text)
        return None


def status(
    cmd: Any,
    resource_group_name: str,
    name: str,
    slot: str | None = None,
    collector_image: str = DEFAULT_COLLECTOR,
    collector_config: list[list[str]] | None = None,
    app_insights: str | None = None,
    health_path: str = "/",
    check: bool = False,
    credential: str = "cli",
    telemetry: bool = False,
    window: str = DEFAULT_WINDOW,
    wait: int = 0,
) -> Result | None:
    """`az otelembed status`."""
    with command_frame(cmd) as console:
        from azext_otelembed.azure.sign_in import open_session
        from azext_otelembed.release.status import status as run
        from azext_otelembed.release.telemetry_check import TelemetryQuestion

        asks = telemetry or check or wait > 0
        question = TelemetryQuestion(wait, seconds_of(window)) if asks else None
        session = open_session(cmd.cli_ctx, credential, Deadline(longest=READING))
        found = run(
            session,
            _site(session, resource_group_name, name, slot),
            options=embed_options(collector_image, read_config(collector_config, collector_image)),
            app_insights=app_insights,
            health_path=health_path,
            console=console,
            question=question,
            reads_quota=check,
        )
        if check and found["healthy"] is None:
            console.alert(f"otelembed: not proven healthy: {found['telemetry']['reason']}.")
            end_with(cmd, 6)
        elif check and not found["healthy"]:
            console.alert(f"otelembed: not healthy: {'; '.join(found['problems'])}.")
            end_with(cmd, 5)
        is_shown = console.live and person_reads(cmd)
        if check and not found["healthy"] and not is_shown:
            for note in found["notes"]:
                console.note(note)
        if is_shown:
            from azext_otelembed.release.status import panel

            console.show(panel(found))
            return None
        return found


def doctor(
    cmd: Any,
    resource_group_name: str,
    name: str,
    slot: str | None = None,
    app_insights: str | None = None,
    health_path: str = "/",
    window: str = DEFAULT_WINDOW,
    wait: int = 0,
    credential: str = "cli",
) -> Result | None:
    """`az otelembed doctor`."""
    with command_frame(cmd) as console:
        from azext_otelembed.azure.sign_in import open_session
        from azext_otelembed.release.doctor import doctor as run
        from azext_otelembed.release.doctor import report
        from azext_otelembed.release.telemetry_check import TelemetryQuestion

        session = open_session(cmd.cli_ctx, credential, Deadline(longest=READING))
        found = run(
            session,
            _site(session, resource_group_name, name, slot),
            question=TelemetryQuestion(wait, seconds_of(window)),
            app_insights=app_insights,
            health_path=health_path,
            console=console,
            binaries=binary_cache(cmd.cli_ctx.config.config_dir),
        )
        end_with(cmd, {True: 0, False: 1, None: 6}[found["healthy"]])
        if console.live and person_reads(cmd):
            report(found, console)
            return None
        for one in found["links"]:
            if one["state"] != "ok":
                words = ". ".join(filter(None, (one["evidence"].rstrip("."), one["fix"])))
                console.alert(f"otelembed: {one['link']} is {one['state']}: {words}")
        return found


def logs(
    cmd: Any,
    resource_group_name: str,
    name: str,
    slot: str | None = None,
    follow: bool = False,
    collector: bool = False,
    lines: int = 100,
    credential: str = "cli",
) -> list[Result] | None:
    """`az otelembed logs`."""
    with command_frame(cmd) as console:
        from azext_otelembed.azure.sign_in import open_session
        from azext_otelembed.release.log_stream import follow_log, read_log, writer

        session = open_session(cmd.cli_ctx, credential, Deadline(longest=READING))
        site = _site(session, resource_group_name, name, slot)
        show = writer(sys.stdout, as_json=format_asked(cmd))
        if follow:
            follow_log(session, site, console, lines, show, ours=collector)
        found = read_log(session, site, console, lines, ours=collector)
        if format_asked(cmd):
            return found
        for line in found:
            show(line)
        return None


def history(
    cmd: Any, resource_group_name: str, name: str, slot: str | None = None, credential: str = "cli"
) -> list[Result]:
    """`az otelembed history`."""
    with command_frame(cmd) as console:
        deadline = Deadline(longest=READING)
        site = _opened(cmd, resource_group_name, name, slot, credential, console, deadline)
        return list(site.history())


def rollback(
    cmd: Any,
    resource_group_name: str,
    name: str,
    slot: str | None = None,
    to: str | None = None,
    from_release: str | None = None,
    timeout: int | None = None,
    health_path: str = "/",
    accept_unproven: bool = False,
    yes: bool = False,
    credential: str = "cli",
) -> Result | None:
    """`az otelembed rollback`."""
    with command_frame(cmd) as console:
        from azext_otelembed.release.rollback import plan_rollback

        options = _options(timeout, health_path, accept_unproven)
        named = (resource_group_name, name, slot)
        site = _opened(cmd, *named, credential, console, Deadline(timeout), health_path)
        planned = plan_rollback(site, to, from_release)
        return _roll_back(cmd, planned, options, console, yes=yes)


def remove(
    cmd: Any,
    resource_group_name: str,
    name: str,
    slot: str | None = None,
    keep_setting: bool = False,
    timeout: int | None = None,
    health_path: str = "/",
    accept_unproven: bool = False,
    yes: bool = False,
    credential: str = "cli",
) -> Result | None:
    """`az otelembed remove`."""
    with command_frame(cmd) as console:
        from azext_otelembed.release.rollback import plan_removal

        options = _options(timeout, health_path, accept_unproven)
        named = (resource_group_name, name, slot)
        site = _opened(cmd, *named, credential, console, Deadline(timeout), health_path)
        planned = plan_removal(site, keep_setting=keep_setting)
        return _roll_back(cmd, planned, options, console, yes=yes)


def wait(
    cmd: Any,
    resource_group_name: str,
    name: str,
    slot: str | None = None,
    timeout: int | None = None,
    health_path: str = "/",
    no_rollback: bool = False,
    accept_unproven: bool = False,
    credential: str = "cli",
    wait_for_telemetry: int | None = None,
    require_telemetry: bool = False,
) -> Result:
    """`az otelembed wait`."""
    with command_frame(cmd) as console:
        from azext_otelembed.release.wait import wait as run

        named = (resource_group_name, name, slot)
        site = _opened(cmd, *named, credential, console, Deadline(timeout), health_path)
        demand = (wait_for_telemetry, require_telemetry, None)
        options = _options(timeout, health_path, accept_unproven, not no_rollback, True, demand)
        result, exit_status = run(site, options, console)
        end_with(cmd, exit_status)
        return result


def prune(
    cmd: Any,
    registry: str,
    repository: str | None = None,
    keep: int = 3,
    delete: bool = False,
    yes: bool = False,
    credential: str = "cli",
) -> list[Result] | None:
    """`az otelembed prune`."""
    with command_frame(cmd) as console:
        from azext_otelembed.azure import registries
        from azext_otelembed.azure.arm import Arm
        from azext_otelembed.azure.sign_in import open_session
        from azext_otelembed.prune.prune import Pruner, note_of

        session = open_session(cmd.cli_ctx, credential, Deadline())
        found = registries.find(Arm(session), session.subscription, registry)
        pruner = Pruner(session, found, repository, keep)
        findings = pruner.find(console)
        if not delete and (note := note_of(findings)):
            console.note(note)
        if not delete or findings.is_empty:
            return [one.as_result() for one in findings.decisions]
        if not yes:
            if not confirmed(f"Delete {findings.to_delete} from registry '{registry}'?"):
                console.alert("otelembed: nothing was changed.")
                return None
            session.deadline.restart()
            findings = pruner.find_again(findings, console)
        deleted = pruner.delete(findings, console)
        if not deleted:
            return [one.as_result() for one in findings.decisions]
        return [{**one.as_result(), "deleted": True} for one in deleted]


def validate_config(
    cmd: Any,
    files: list[str],
    collector_image: str = DEFAULT_COLLECTOR,
    registry: str | None = None,
    validate: str | None = None,
    credential: str = "cli",
) -> Result:
    """`az otelembed config validate`."""
    with command_frame(cmd) as console:
        from azext_otelembed.collector.problem import Problem

        if validate is not None and registry is None:
            raise InvalidInput(
                "--validate needs the registry that has the collector.",
                "Name it, such as `--registry shopregistry`.",
            )
        config, found, exact = config_problems(files, collector_image)
        problems = list(found)
        verdict = None
        if registry is not None and not any(problem.is_error for problem in problems):
            from azext_otelembed.release.config_validate import validate_with_collector
            from azext_otelembed.target.app_image import parse_reference

            collector = parse_reference(collector_image, "--collector-image").or_latest()
            folder = cmd.cli_ctx.config.config_dir
            validation = validation_of(validate or "local", config, collector, folder)
            session = _session_opener(cmd, credential, Deadline())()
            verdict = validate_with_collector(session, registry, validation, console)
            problems += verdict.problems
        elif registry is not None:
            console.note(f"{collector_image} was not asked: the errors below end it in any case.")

        def said(is_error: bool) -> list[Problem]:
            return [problem for problem in problems if problem.is_error == is_error]

        console.alert(*(f"otelembed: {problem.report}" for problem in said(True)))
        for problem in said(False):
            console.note(problem.report)
        end_with(cmd, 1 if said(True) else 0)
        return {
            "valid": not said(True),
            "files": files,
            "collectorImage": collector_image,
            "typesKnown": exact,
            "otelcol": verdict.as_result() if verdict else None,
            "errors": [problem.as_result() for problem in said(True)],
            "warnings": [problem.as_result() for problem in said(False)],
        }


def show_config(
    cmd: Any,
    resource_group_name: str | None = None,
    name: str | None = None,
    slot: str | None = None,
    default: bool = False,
    credential: str = "cli",
) -> Result | None:
    """`az otelembed config show`."""
    with command_frame(cmd) as console:
        from azext_otelembed.azure.sign_in import open_session
        from azext_otelembed.collector import config
        from azext_otelembed.image.reference import Digest
        from azext_otelembed.release.config_show import show_config as run

        if default == (resource_group_name is not None or name is not None or slot is not None):
            raise InvalidInput(
                "config show takes either a Web App or --default.",
                "Name the Web App with -g and -n, or give --default alone.",
            )
        if default:
            data = config.default()
            found: Result = {"digest": str(Digest.of(data)), "config": data.decode()}
        elif resource_group_name is None or name is None:
            raise InvalidInput("No Web App was named.", "Name one with -g and -n.")
        else:
            session = open_session(cmd.cli_ctx, credential, Deadline(longest=READING))
            found = run(session, _site(session, resource_group_name, name, slot), console)
        if format_asked(cmd):
            return found
        write(sys.stdout, str(found["config"]))
        return None


def _session_opener(cmd: Any, credential: str, deadline: Deadline) -> Callable[[], Session]:
    """Opens the session at the first call: not every command needs one."""
    from azext_otelembed.azure.sign_in import open_session

    return cache(partial(open_session, cmd.cli_ctx, credential, deadline))


def _options(
    timeout: int | None,
    health_path: str,
    accept_unproven: bool,  # as az gives it
    rollback: bool = True,
    wait: bool = True,
    telemetry: tuple[int | None, bool, str | None] = (None, False, None),
) -> ReleaseOptions:
    """How a release is verified, and what follows from the verdict.

    `telemetry` has --wait-for-telemetry, --require-telemetry and --app-insights.
    """
    from azext_otelembed.release.release_context import (
        ReleaseOptions,
        TelemetryWait,
        health_path_words,
    )

    seconds, required, app_insights = telemetry
    waits = None
    if seconds is not None or required:
        if not wait:
            command = DEFAULT.command(
                "otelembed wait", *health_path_words(health_path), subscription=None
            )
            raise InvalidInput(
                "--wait-for-telemetry and --require-telemetry cannot be combined with --no-wait.",
                f"Give them to `{command}`.",
            )
        seconds = TELEMETRY_SECONDS if seconds is None else seconds
        waits = TelemetryWait(seconds, required, app_insights)
    return ReleaseOptions(
        timeout, health_path, rollback, wait, accept_unproven=accept_unproven, telemetry=waits
    )


def _embed(
    cmd: Any,
    image: str,
    config: list[list[str]] | None,
    kind: str,
    logs: str,
    grace: int | None,
    validate: str | None,
    /,
    **more: Any,
) -> EmbedOptions:
    """What is embedded, and how; `more` is as for `embed_options`."""
    validation = (validate, cmd.cli_ctx.config.config_dir)
    used = launcher_of(kind, logs, grace)
    return embed_options(image, read_config(config, image), used, validation=validation, **more)


def _app(
    session: Callable[[], Session], console: Console, source: tuple[Any, Any, Any, Any, Any, Any]
) -> AppSource | None:
    """The source to build the app image from, of the arguments of --source; None without it."""
    from azext_otelembed.builders.acr_tasks import AcrBuilder
    from azext_otelembed.target.from_source import app_source

    return app_source(*source, AcrBuilder(session, console.stands))


def _deploy(
    session: Callable[[], Session],
    named: tuple[str | None, str | None, str | None],
    many: tuple[list[str] | None, str | None],
    request: DeployRequest,
    max_failures: int | None,
    console: Console,
) -> Outcome:
    """Deploys the site `named` (group, name, slot), or `many` (--ids, --apps-file)."""
    from azext_otelembed.release.deploy import deploy as run
    from azext_otelembed.release.fleet import deploy_fleet, read_sites

    lines = named_sites(*many, (*named, request.swap or None))
    if lines is None:
        group, name, slot = named
        if request.swap and (slot is None or not request.release.wait):
            raise InvalidInput(
                "--swap requires --slot and cannot be combined with --no-wait.",
                "Name the slot, such as `--slot staging --swap`.",
            )
        opened = session()
        return run(opened, _site(opened, str(group), str(name), slot), request, console)
    if request.app is not None:
        raise InvalidInput(
            "--source builds one app image, not one for each of many sites.",
            "Build it once (see `az otelembed build --help`), then deploy it with --image.",
        )
    sites = read_sites(lines)
    return deploy_fleet(session(), sites, request, console, max_failures)


def _opened(
    cmd: Any,
    group: str,
    name: str,
    slot: str | None,
    credential: str,
    console: Console,
    deadline: Deadline,
    health_path: str | None = None,
) -> Any:
    from azext_otelembed.azure.sign_in import open_session
    from azext_otelembed.release.recorded_site import open_site

    session = open_session(cmd.cli_ctx, credential, deadline)
    return open_site(session, _site(session, group, name, slot), console, health_path)


def _roll_back(
    cmd: Any, planned: PlannedRelease, options: ReleaseOptions, console: Console, *, yes: bool
) -> Result | None:
    """Asks, then carries out a planned rollback; None if the answer is no."""
    if not yes and not planned.is_done:
        if not confirmed(planned.question):
            console.alert("otelembed: nothing was changed.")
            return None
        # The time that the answer took doesn't count.
        planned.site.session.deadline.restart()
    result, exit_status = planned.carry_out(options, console)
    end_with(cmd, exit_status)
    return result


def _site(session: Any, group: str, name: str, slot: str | None) -> Any:
    from azext_otelembed.azure.sites import SiteId

    # `production` is how az and the portal call the site itself.
    named = None if slot is None or slot.lower() == "production" else slot
    return SiteId(session.subscription, group, name, named, session.caller)
