"""What `doctor` knows of each link from a site to Application Insights, and what follows. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from azext_otelembed.az_commands import Verbatim, option, placeholder
from azext_otelembed.azure.components import Component, Refusal
from azext_otelembed.collector.config import (
    ConfigFile,
    default,
    listening_ports,
    problems,
    read,
    required_variables,
    signs_in,
    uses_azuremonitor,
)
from azext_otelembed.errors import OtelembedError, Refused
from azext_otelembed.image.launcher import reports_exits
from azext_otelembed.release.release_context import deploy_again, health_path_words
from azext_otelembed.release.telemetry_check import TelemetryCheck
from azext_otelembed.target.running_image import RunningImage
from azext_otelembed.telemetry.arrived import LATENCY
from azext_otelembed.telemetry.link import Link, State
from azext_otelembed.telemetry.recipient import NAME_IT
from azext_otelembed.validation.verdict import Verdict as Validated
from azext_otelembed.verification.collector_log import CollectorLog
from azext_otelembed.verification.site_answer import Ping
from azext_otelembed.verification.verify import Verdict
from azext_otelembed.webapp.observe import SETTING, Observed
from azext_otelembed.webapp.sdk_hints import sdk_hints
from azext_otelembed.webapp.telemetry_notes import (
    missing_variables,
    variable_notes,
    variables_of_app,
)
from azext_otelembed.whole_number import whole_number

NAMES = (
    *("site", "pull", "image", "collector", "ports"),
    *("configuration", "setting", "endpoint", "app", "rows"),
)
"""The links, in the order in which telemetry depends on them."""
_NO_COLLECTOR = "not checked: the image has no collector"


@dataclass(frozen=True, slots=True)
class SettingFacts:
    """The app setting: whether it holds (None: unknown), in words, and how to repair it.

    `component` is the one that it belongs to, `endpoint` where the exporter sends ("" if unknown),
    `answer` that of a request to it from this machine. `refusals` are the component's, of which
    `local_auth` matters only to an azuremonitor exporter that sends by the key alone. `redeploy`
    are the options of the deploy that repairs it, None if something else does.
    """

    holds: bool | None
    words: str
    fix: str = ""
    component: Component | None = None
    endpoint: str = field(default="", repr=False)
    answer: Ping | None = None
    refusals: tuple[Refusal, ...] = ()
    local_auth: Refusal | None = None
    redeploy: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """What was read. An error in place of a part tells why that couldn't be read.

    `pull` is a note where it is unknown, a `Refused` if the site can't pull, None if it can.
    `collides` is the refusal of a startup command that starts a collector. `now` is in seconds
    since the epoch. `validated` is the collector's own verdict on its configuration, None if it
    wasn't asked.
    """

    observed: Observed
    seen: Verdict
    pull: str | OtelembedError | None
    image: RunningImage | OtelembedError
    log: CollectorLog | OtelembedError
    setting: SettingFacts
    telemetry: TelemetryCheck
    now: float
    health_path: str = "/"
    collides: Refused | None = None
    validated: Validated | None = None

    @property
    def is_stopped(self) -> bool:
        """Whether the site isn't running, so that its container log and its rows are of before."""
        return self.observed.state.lower() != "running"

    @property
    def arrives(self) -> bool:
        """Whether rows of the running release were seen."""
        return self.telemetry.seen is True

    @property
    def arrives_from_container(self) -> bool:
        """Whether rows were seen that are newer than the container's start, if that is known."""
        started = self.log.started if isinstance(self.log, CollectorLog) else None
        return self.telemetry.is_newer_than(started or 0.0)

    @property
    def arrived_since(self) -> bool:
        """Whether rows were seen that are newer than the collector's last exit."""
        last = self.log.last if isinstance(self.log, CollectorLog) else 0.0
        return self.telemetry.is_newer_than(last)


def links(facts: Facts) -> tuple[Link, ...]:
    """The links, in the order of `NAMES`."""
    setting, ports, configuration = _setting(facts), _ports(facts), _configuration(facts)
    return (
        _site(facts),
        _pull(facts),
        _image(facts),
        _collector(facts, [ports, configuration, setting]),
        ports,
        configuration,
        setting,
        _endpoint(facts),
        _app(facts),
        _rows(facts),
    )


def unsupported(refused: OtelembedError) -> tuple[Link, ...]:
    """The links of a site of another kind: nothing else is asked."""
    first = Link("site", State.BROKEN, refused.message, refused.recommendation or "")
    reason = "not checked: otelembed doesn't work on this site"
    return (first, *(Link(name, State.UNKNOWN, reason) for name in NAMES[1:]))


def _state(holds: bool | None) -> State:
    return {True: State.OK, False: State.BROKEN, None: State.UNKNOWN}[holds]


def _failed(name: str, error: OtelembedError) -> Link:
    """A link of which a part couldn't be read."""
    return Link(name, State.UNKNOWN, error.message, error.recommendation or "")


def _site(facts: Facts) -> Link:
    observed, seen = facts.observed, facts.seen
    site, runs = observed.id, f"Linux, one container, {observed.state.lower() or 'unknown state'}"
    if facts.is_stopped:
        start = site.command("webapp start")
        return Link("site", State.BROKEN, f"{site} isn't running: {runs}", f"Start it: `{start}`.")
    instances, http = seen.evidence["instances"], seen.evidence["http"]
    words = f"{runs}; instances: {instances}; {http}"
    if seen.healthy is False:
        logs = site.command("otelembed logs")
        return Link("site", State.BROKEN, f"{seen.reason} ({words})", f"See its log: `{logs}`.")
    return Link("site", _state(seen.healthy), words)


def _pull(facts: Facts) -> Link:
    found = facts.pull
    if isinstance(found, Refused):
        return Link("pull", State.BROKEN, found.message, found.recommendation or "")
    if isinstance(found, OtelembedError):
        return _failed("pull", found)
    if found is not None:
        return Link("pull", State.UNKNOWN, found)
    registry = facts.observed.image.partition("/")[0]
    return Link("pull", State.OK, f"{facts.observed.id} has the right to pull from {registry}")


def _image(facts: Facts) -> Link:
    image, site = facts.image, facts.observed.id
    if isinstance(image, OtelembedError):
        return _failed("image", image)
    deploy = site.command("otelembed deploy")
    if image.collector is None:
        words = f"{image.reference} has no collector"
        return Link("image", State.BROKEN, words, f"Embed it: `{deploy}`.")
    recipe = f", recipe {image.recipe.short}" if image.recipe else ", by its own Dockerfile"
    launcher = image.launcher or "unknown"
    words = f"{image.reference}: collector {image.collector}, launcher {launcher}{recipe}"
    return Link("image", State.OK, words)


def _collector(facts: Facts, needed: Sequence[Link]) -> Link:
    """The link of the collector, which exits if one of the `needed` links is broken."""
    name, image, log = "collector", facts.image, facts.log
    if isinstance(image, OtelembedError):
        return Link(name, State.UNKNOWN, "not checked: the image can't be read")
    if image.collector is None:
        return Link(name, State.UNKNOWN, _NO_COLLECTOR)
    if facts.is_stopped:
        return Link(name, State.UNKNOWN, "not checked: the site isn't running")
    if isinstance(log, OtelembedError):
        if facts.arrives:
            return Link(name, State.OK, "telemetry of this release arrives")
        return _failed(name, log)
    exits = log.times
    if log.is_dead(facts.now) and not facts.arrived_since:
        causes = [one.name for one in needed if one.state is State.BROKEN]
        return _dead(facts, image, log, causes)
    if facts.arrives_from_container:
        words = f"telemetry of this release arrives{exits and f'; {exits}'}"
        return Link(name, State.OK, words)
    if log.started is None:
        words = "the container log has no start of this image: it is older than the log, or pending"
        return Link(name, State.UNKNOWN, words, _watch(facts))
    if not reports_exits(image.launcher):
        deploy = _deploy(facts)
        words = f"it was started; launcher {image.launcher} doesn't report whether it runs on"
        return Link(name, State.UNKNOWN, words, f"`{deploy}` embeds a launcher that does.")
    since = f"; {exits}, and has run since" if exits else ", and has not exited since"
    return Link(name, State.OK, f"it was started{since} (container log)")


def _dead(facts: Facts, image: RunningImage, log: CollectorLog, causes: Sequence[str]) -> Link:
    """The link of a collector that exits at its start, perhaps because of other links."""
    words = log.words(facts.now)
    if causes:
        fix = f"Repair the link {' and '.join(causes)} first."
        return Link("collector", State.BROKEN, words, fix)
    if ",logs=stderr" in image.launcher or log.reason:
        return Link("collector", State.BROKEN, words, _watch(facts))
    deploy = _deploy(facts, "--collector-logs", "stderr")
    fix = f"`{deploy}` makes it write its reason to the container log."
    return Link("collector", State.BROKEN, words, fix)


def _watch(facts: Facts) -> str:
    return f"See `{facts.observed.id.command('otelembed logs', '--collector')}`."


def _ports(facts: Facts) -> Link:
    name, observed, image = "ports", facts.observed, facts.image
    if facts.collides is not None:
        refused = facts.collides
        return Link(name, State.BROKEN, refused.message, refused.recommendation or "")
    if isinstance(image, OtelembedError):
        return Link(name, State.UNKNOWN, "not checked: the image can't be read")
    if image.collector is None:
        return Link(name, State.UNKNOWN, _NO_COLLECTOR)
    log = facts.log if isinstance(facts.log, CollectorLog) else CollectorLog()
    taken = listening_ports(image.config) if image.config is not None else None
    given = variables_of_app(observed, None).get("WEBSITES_PORT", "").strip()
    app = whole_number(given, 65535) or log.port
    set_port = observed.id.command(
        *("webapp config appsettings set", "--settings", Verbatim("WEBSITES_PORT=<port>"))
    )
    fix = f"Let the app listen on another port, and name it: `{set_port}`."
    if "address already in use" in log.reason:
        return Link(name, State.BROKEN, f"the collector can't listen: {log.reason}", fix)
    if taken is None:
        words = "the collector's ports depend on the environment, or its configuration isn't known"
        return Link(name, State.UNKNOWN, words)
    listens = f"the collector listens on {_listed(taken)}"
    if app in taken:
        words = f"{listens}, and App Service expects the app on {app}"
        return Link(name, State.BROKEN, words, fix)
    if app:
        return Link(name, State.OK, f"{listens}, the app is expected on {app}")
    runs = facts.arrives_from_container or (log.started is not None and not log.exits)
    words = f"{listens}; which port the app is expected on isn't known"
    return Link(name, _state(True if runs else None), words)


def _listed(ports: Iterable[int]) -> str:
    return " and ".join(map(str, sorted(ports))) or "no known port"


def _configuration(facts: Facts) -> Link:
    name, image = "configuration", facts.image
    if isinstance(image, OtelembedError):
        return Link(name, State.UNKNOWN, "not checked: the image can't be read")
    if image.collector is None:
        return Link(name, State.UNKNOWN, _NO_COLLECTOR)
    if image.config is None:
        words = "the image has no configuration file in a layer of its own"
        return Link(name, State.UNKNOWN, words)
    if image.config == default():
        return Link(name, State.OK, "the default configuration")
    found = problems(read([ConfigFile("", image.config)]))
    if facts.validated is not None:
        found = (*found, *facts.validated.problems)
    errors = [one for one in found if one.is_error]
    if errors:
        more = f" ({len(errors) - 1} more)" if len(errors) > 1 else ""
        fix = f"{errors[0].advice} Correct the file, and embed it: `{_deploy(facts)}`."
        return Link(name, State.BROKEN, f"{errors[0].sentence}{more}", fix.strip())
    required = required_variables(image.config)
    unset = missing_variables(facts.observed, image.settings, required, SETTING)
    if unset and isinstance(facts.log, CollectorLog) and facts.log.is_dead(facts.now):
        words, _, fix = unset[0].partition(" Set it with ")
        return Link(name, State.BROKEN, words, f"Set it with {fix}")
    sends = uses_azuremonitor(image.config)
    by = f"collector {image.collector} finds" if facts.validated else "the checks of a deploy find"
    words = f"a configuration of its own, in which {by} no error"
    if warnings := [*(one.sentence for one in found), *unset]:
        words += f"; {len(warnings)} warning{'s' * (len(warnings) != 1)}: {' '.join(warnings)}"
    is_dead = isinstance(facts.log, CollectorLog) and facts.log.is_dead(facts.now)
    if is_dead and not facts.arrived_since and facts.validated is None:
        return Link(name, State.UNKNOWN, words, _validate_advice(facts, image))
    if sends is False and not facts.arrives:
        return Link(name, State.UNKNOWN, words)
    return Link(name, State.OK, words)


def _validate_advice(facts: Facts, image: RunningImage) -> str:
    """How the collector itself validates the configuration in its image."""
    site, host = facts.observed.id, image.reference.registry
    show = site.command("otelembed config show")
    words = (placeholder("file"), "--registry", host.partition(".")[0])
    validate = site.caller.command("otelembed config validate", *words, subscription=None)
    return f"Let the collector check what `{show}` prints: `{validate}`."


def _setting(facts: Facts) -> Link:
    found = facts.setting
    deploys = found.redeploy is not None
    fix = f"Set it: `{_deploy(facts, *(found.redeploy or ()))}`." if deploys else found.fix
    return Link("setting", _state(found.holds), found.words, fix)


def _deploy(facts: Facts, *options: str) -> str:
    site, image = facts.observed.id, facts.image
    if not isinstance(image, RunningImage) or image.collector is None:
        return deploy_again(site, "", *options, has_own_config=False)
    own = image.config not in (None, default())
    return deploy_again(site, image.launcher, *options, has_own_config=own)


def _endpoint(facts: Facts) -> Link:
    name, setting, image = "endpoint", facts.setting, facts.image
    config = image.config if isinstance(image, RunningImage) else None
    by_key = config is None or (uses_azuremonitor(config) is not False and not signs_in(config))
    refusals = [*setting.refusals, *([setting.local_auth] if setting.local_auth and by_key else [])]
    if refusals:
        reasons = "; ".join(one.reason for one in refusals)
        return Link(name, State.BROKEN, reasons, " ".join(one.fix for one in refusals))
    answer = setting.answer
    if answer is None:
        return Link(name, State.UNKNOWN, "not checked: where the collector sends isn't known")
    host = urlsplit(setting.endpoint).netloc
    if answer.status is not None and answer.status < 500:
        words = f"{host} answers this machine (HTTP {answer.status} without telemetry)"
        return Link(name, State.OK, words)
    words = f"{host} doesn't answer this machine: {answer}"
    if facts.arrives:
        return Link(name, State.OK, f"{words}; telemetry of the site arrives")
    words += ". The site's own network may differ"
    return Link(name, State.BROKEN if answer.status else State.UNKNOWN, words)


def _app(facts: Facts) -> Link:
    name, observed = "app", facts.observed
    image = facts.image if isinstance(facts.image, RunningImage) else None
    config, base = (image.settings, image.app) if image else (None, None)
    notes = list(variable_notes(observed, base, config)) if base else []
    problems_of_app = " ".join(problem for problem, _ in notes)
    fixes = " ".join(fix for _, fix in notes)
    # Variables are those of the container that runs, rows perhaps of the one before.
    if facts.is_stopped and not notes:
        return Link(name, State.UNKNOWN, "not checked: the site isn't running")
    if not facts.is_stopped and (facts.arrives_from_container or (facts.arrives and not notes)):
        words = f"it sends: {facts.telemetry.arrival.words}"
        return Link(name, State.OK, f"{words}. {problems_of_app}".removesuffix(". "), fixes)
    if notes:
        return Link(name, State.BROKEN, problems_of_app, fixes)
    hints = sdk_hints(config, variables_of_app(observed, config))
    words = "whether it sends to localhost can't be seen from outside of the container"
    return Link(name, State.UNKNOWN, words, " ".join(hints))


def _rows(facts: Facts) -> Link:
    check = facts.telemetry
    if check.seen:
        return Link("rows", State.OK, f"component '{check.component}': {check.arrival.words}")
    fix = check.arrival.advice
    if check.arrival.arrived is not None and NAME_IT not in fix:
        words = (*health_path_words(facts.health_path), "--wait", f"{LATENCY:.0f}")
        again = facts.observed.id.command("otelembed doctor", *words)
        fix = f"Ask again with `{again}`." if check.seen is None else ""
    return Link("rows", _state(check.seen), check.arrival.missing, fix)


def app_insights_option(component: Component | None) -> Sequence[str]:
    """The words of `deploy` that name a component."""
    return option("--app-insights", component.id) if component else ()


MISSING = f"the app setting {SETTING} is missing"
