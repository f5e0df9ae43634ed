"""The pages of ARM's lists: every GET whose answer is `{"value": […]}`.

The next page's address is absolute and has an opaque `$skiptoken` (azure-rest-api-specs:
`nextLink`, "x-ms-pageable"). Each provider has a page size of its own, so the double cuts pages
only where a test asks for it (`State.arm_page_size`).
"""

from __future__ import annotations

import base64
import json
from urllib.parse import parse_qsl, urlencode

from starlette.responses import Response

from localazure.arm import errors
from localazure.arm.call import Call


def paged(call: Call, response: Response) -> Response:
    """The response, cut to the page that the request asks for."""
    size = call.state.arm_page_size
    if not size or call.request.method != "GET" or response.status_code != 200:
        return response
    try:
        document = json.loads(bytes(response.body))
    except ValueError:
        return response
    entries = document.get("value") if isinstance(document, dict) else None
    if not isinstance(entries, list):
        return response
    query = dict(parse_qsl(call.request.url.query, keep_blank_values=True))
    start = _start(query.get("$skiptoken"))
    end = start + size
    document["value"] = entries[start:end]
    document["nextLink"] = None
    if end < len(entries):
        query["$skiptoken"] = base64.urlsafe_b64encode(f"page:{end}".encode()).decode()
        document["nextLink"] = f"{call.base}{call.request.url.path}?{urlencode(query)}"
    headers = {name: value for name, value in response.headers.items() if name != "content-length"}
    content = json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()
    return Response(content, response.status_code, headers)


def _start(token: str | None) -> int:
    if token is None:
        return 0
    try:
        return int(base64.urlsafe_b64decode(token).decode().removeprefix("page:"))
    except ValueError:
        raise errors.gateway(400, "InvalidSkipToken", "The skip token is invalid.") from None
