"""The commands behind `az otelembed`: arguments → call → result object."""

from __future__ import annotations

import sys
from functools import cache, partial
from typing import Any

from azext_otelembed.command_frame import (
    command_frame,
    confirmed,
    end_with,
    format_asked,
    person_reads,
)
from azext_otelembed.console import Console
from azext_otelembed.errors import InvalidInput
from azext_otelembed.inputs import checked_config, from_stdin, launcher_of, login_of, named_sites

DEFAULT_COLLECTOR = "docker.io/otel/opentelemetry-collector-contrib:0.150.0"
DEFAULT_TIMEOUT = 300

Result = dict[str, Any]


def deploy(
    cmd: Any,
    resource_group_name: str | None = None,
    name: str | None = None,
    slot: str | None = None,
    image: str | None = None,
    collector_image: str = DEFAULT_COLLECTOR,
    collector_config: str | None = None,
    app_insights: str | None = None,
    connection_string: str | None = None,
    registry: str | None = None,
    tag: str | None = None,
    timeout: int = DEFAULT_TIMEOUT,
    health_path: str = "/",
    dry_run: bool = False,
    no_rollback: bool = False,
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
) -> Result:
    """`az otelembed deploy`."""
    with command_frame(cmd) as console:
        from azext_otelembed.azure.sign_in import open_session
        from azext_otelembed.builders.acr_tasks import AcrBuilder
        from azext_otelembed.release.deploy import Wanted
        from azext_otelembed.release.deploy import deploy as run
        from azext_otelembed.target.from_source import app_source

        if swap and (slot is None or dont_wait):
            raise InvalidInput(
                "--swap takes a slot that has verified into production: it needs --slot, and "
                "can't go with --no-wait.",
                "Name the slot, such as `--slot staging --swap`.",
            )
        given = [connection_string, connection_string_secret, app_insights]
        if sum(one is not None for one in given) > 1:
            raise InvalidInput(
                "--connection-string, --connection-string-secret and --app-insights each say where "
                "the telemetry goes.",
                "Give one of them.",
            )
        session_of = cache(partial(open_session, cmd.cli_ctx, credential))
        azure = AcrBuilder(session_of, console.stands)
        app = app_source(source, file, build_arg, target, builder, tag, azure)
        wanted = Wanted(
            image=image,
            collector_image=collector_image,
            collector_config=checked_config(collector_config),
            app_insights=app_insights,
            connection_string=from_stdin(connection_string, "--connection-string"),
            registry=registry,
            tag=None if app else tag,
            timeout=timeout,
            health_path=health_path,
            dry_run=dry_run,
            rollback=not no_rollback,
            wait=not dont_wait,
            secret_uri=connection_string_secret,
            swap=swap,
            app=app,
            unwrap=unwrap,
            collector_login=login_of(collector_username, collector_password, connection_string),
            launcher=launcher_of(launcher, collector_logs, grace),
            shell_image=shell_image,
        )
        session = session_of()
        fleet = named_sites(ids, apps_file, (resource_group_name, name, slot, swap or None))
        if fleet is not None:
            from azext_otelembed.release.fleet import deploy_fleet, read_sites

            if app is not None:
                raise InvalidInput(
                    "--source builds one app image, not one for each of many sites.",
                    "Build it once with `az otelembed build`, then deploy it with --image.",
                )
            sites = read_sites(fleet)
            outcome = deploy_fleet(session, sites, wanted, console, max_failures)
        else:
            site = _site(session, str(resource_group_name), str(name), slot)
            outcome = run(session, site, wanted, console)
        end_with(cmd, outcome.exit_status)
        return outcome.result


def build(
    cmd: Any,
    image: str,
    registry: str | None = None,
    collector_image: str = DEFAULT_COLLECTOR,
    collector_config: str | None = None,
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
) -> Result:
    """`az otelembed build`."""
    with command_frame(cmd) as console:
        from azext_otelembed.azure.sign_in import open_session
        from azext_otelembed.builders.acr_tasks import AcrBuilder
        from azext_otelembed.release.build import Wanted
        from azext_otelembed.release.build import build as run
        from azext_otelembed.target.from_source import app_source

        session = cache(partial(open_session, cmd.cli_ctx, credential))
        azure = AcrBuilder(session, console.stands)
        app = app_source(source, file, build_arg, target, builder, tag, azure)
        config = checked_config(collector_config)
        named = None if app else tag
        login = login_of(collector_username, collector_password)
        wanted = Wanted(
            image,
            registry,
            collector_image,
            config,
            named,
            app,
            unwrap,
            login,
            launcher_of(launcher, collector_logs, grace),
            shell_image,
        )
        return run(session(), wanted, console)


def dockerfile(
    cmd: Any,
    image: str | None = None,
    registry: str | None = None,
    image_entrypoint: str | None = None,
    image_cmd: str | None = None,
    collector_image: str = DEFAULT_COLLECTOR,
    collector_config: str | None = None,
    output_dir: str | None = None,
    credential: str = "cli",
    launcher: str = "exec",
    collector_logs: str = "null",
    grace: int | None = None,
) -> Result | None:
    """`az otelembed dockerfile`."""
    with command_frame(cmd) as console:
        from azext_otelembed.azure.sign_in import open_session
        from azext_otelembed.release import dockerfile as form

        given = checked_config(collector_config)
        config = form.config_in(output_dir) if given is None else given
        wanted = form.Wanted(
            image,
            registry,
            image_entrypoint,
            image_cmd,
            collector_image,
            config,
            launcher_of(launcher, collector_logs, grace),
        )
        session = partial(open_session, cmd.cli_ctx, credential)
        written = form.dockerfile(session, wanted, console)
        if output_dir is not None:
            return form.write(written, output_dir, own_config=given is not None)
        if format_asked(cmd):
            return {"dockerfile": written.dockerfile, "config": written.config.decode()}
        sys.stdout.write(written.dockerfile)
        return None


def status(
    cmd: Any,
    resource_group_name: str,
    name: str,
    slot: str | None = None,
    collector_image: str = DEFAULT_COLLECTOR,
    collector_config: str | None = None,
    app_insights: str | None = None,
    health_path: str = "/",
    check: bool = False,
    credential: str = "cli",
) -> Result | None:
    """`az otelembed status`."""
    with command_frame(cmd) as console:
        from azext_otelembed.azure.sign_in import open_session
        from azext_otelembed.release.status import status as run

        session = open_session(cmd.cli_ctx, credential)
        found = run(
            session,
            _site(session, resource_group_name, name, slot),
            collector_image=collector_image,
            collector_config=checked_config(collector_config),
            app_insights=app_insights,
            health_path=health_path,
            console=console,
        )
        if check and not found["healthy"]:
            console.alert(f"otelembed: not healthy: {'; '.join(found['problems'])}.")
            end_with(cmd, 5)
        if console.live and person_reads(cmd):
            from azext_otelembed.release.status_panel import panel

            console.show(panel(found))
            return None
        return found


def history(
    cmd: Any,
    resource_group_name: str,
    name: str,
    slot: str | None = None,
    credential: str = "cli",
) -> list[Result]:
    """`az otelembed history`."""
    with command_frame(cmd) as console:
        from azext_otelembed.release import history as releases

        _, site = _opened(cmd, resource_group_name, name, slot, credential, console)
        return releases.history(site)


def rollback(
    cmd: Any,
    resource_group_name: str,
    name: str,
    slot: str | None = None,
    to: str | None = None,
    timeout: int = DEFAULT_TIMEOUT,
    health_path: str = "/",
    yes: bool = False,
    credential: str = "cli",
) -> Result | None:
    """`az otelembed rollback`."""
    with command_frame(cmd) as console:
        from azext_otelembed.release import history as releases

        session, site = _opened(cmd, resource_group_name, name, slot, credential, console)
        way = releases.way_back(site, to)
        return _gone(cmd, session, way, timeout, health_path, console, yes=yes)


def remove(
    cmd: Any,
    resource_group_name: str,
    name: str,
    slot: str | None = None,
    keep_setting: bool = False,
    timeout: int = DEFAULT_TIMEOUT,
    health_path: str = "/",
    yes: bool = False,
    credential: str = "cli",
) -> Result | None:
    """`az otelembed remove`."""
    with command_frame(cmd) as console:
        from azext_otelembed.release import history as releases

        session, site = _opened(cmd, resource_group_name, name, slot, credential, console)
        way = releases.way_out(site, keep_setting=keep_setting)
        return _gone(cmd, session, way, timeout, health_path, console, yes=yes)


def wait(
    cmd: Any,
    resource_group_name: str,
    name: str,
    slot: str | None = None,
    timeout: int = DEFAULT_TIMEOUT,
    health_path: str = "/",
    no_rollback: bool = False,
    credential: str = "cli",
) -> Result:
    """`az otelembed wait`."""
    with command_frame(cmd) as console:
        from azext_otelembed.release import history as releases
        from azext_otelembed.release.release_runner import Options

        session, site = _opened(cmd, resource_group_name, name, slot, credential, console)
        options = Options(timeout, health_path, rollback=not no_rollback)
        result, exit_status = releases.wait(session, site, options, console)
        end_with(cmd, exit_status)
        return dict(result)


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
        from azext_otelembed.azure.sign_in import open_session
        from azext_otelembed.prune.prune import Pruner, find_registry, unneeded

        session = open_session(cmd.cli_ctx, credential)
        pruner = Pruner(session, find_registry(session, registry), repository, keep)
        judged = pruner.look(console)
        doomed = unneeded(judged)
        if not delete or not doomed:
            return [one.as_result() for one in judged]
        if not yes:
            question = f"Delete {len(doomed)} embedded images from registry '{registry}'?"
            if not confirmed(question):
                console.alert("otelembed: nothing was changed.")
                return None
            doomed = pruner.look_again(doomed, console)
        pruner.delete(doomed, console)
        return [{**one.as_result(), "deleted": True} for one in doomed]


def _opened(
    cmd: Any, group: str, name: str, slot: str | None, credential: str, console: Console
) -> tuple[Any, Any]:
    from azext_otelembed.azure.sign_in import open_session
    from azext_otelembed.release.history import open_site

    session = open_session(cmd.cli_ctx, credential)
    site = _site(session, group, name, slot)
    return session, open_site(session, site, DEFAULT_COLLECTOR, console)


def _gone(
    cmd: Any,
    session: Any,
    way: Any,
    timeout: int,
    health_path: str,
    console: Console,
    *,
    yes: bool,
) -> Result | None:
    """Asks, then releases what `way` leads to; None when the answer is no."""
    from azext_otelembed.release import history as releases
    from azext_otelembed.release.release_runner import Options

    if not yes and not confirmed(way.question):
        console.alert("otelembed: nothing was changed.")
        return None
    result, exit_status = releases.go(session, way, Options(timeout, health_path), console)
    end_with(cmd, exit_status)
    return dict(result)


def _site(session: Any, group: str, name: str, slot: str | None) -> Any:
    from azext_otelembed.azure.sites import SiteId

    # `production` is how az and the portal call the site itself.
    named = None if slot is None or slot.lower() == "production" else slot
    return SiteId(session.subscription, group, name, named)
