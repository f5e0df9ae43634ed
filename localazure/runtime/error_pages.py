"""Pages of App Service's front end for requests that don't reach an app."""

from __future__ import annotations

from starlette.responses import HTMLResponse, Response

_PAGE = (
    "<!DOCTYPE html><html><head><title>{title}</title></head>"
    "<body><h1>{heading}</h1><p>{text}</p></body></html>"
)


def stopped() -> Response:
    """The site was stopped."""
    return _page(
        403,
        "Web App - Unavailable",
        "Error 403 - This web app is stopped.",
        "The web app you have attempted to reach is currently stopped and does not accept any "
        "requests.",
    )


def application_error(scm_host: str) -> Response:
    """The site's container failed to start."""
    return _page(
        503,
        "Application Error",
        ":( Application Error",
        "If you are the application administrator, you can access the "
        f'<a href="https://{scm_host}/detectors">diagnostic resources</a>.',
    )


def bad_gateway() -> Response:
    """The container closed the connection, or could not be reached."""
    return _page(502, "Bad Gateway", "502 - Bad Gateway", "The app gave no valid answer.")


def gateway_timeout() -> Response:
    """The app didn't answer in time."""
    return _page(504, "Gateway Timeout", "504 - Gateway Timeout", "The app did not answer in time.")


def no_container() -> Response:
    """The site has no container that the double could run."""
    return _page(
        200, "Web App", "Your web app is running and waiting for your content", "localazure"
    )


def not_found() -> Response:
    """The site of this host name was deleted."""
    return _page(404, "404 Web Site not found", "404 Web Site not found", "There is no such site.")


def _page(status: int, title: str, heading: str, text: str) -> Response:
    return HTMLResponse(_PAGE.format(title=title, heading=heading, text=text), status)
