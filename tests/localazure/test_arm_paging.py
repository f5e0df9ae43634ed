"""Resource Manager's lists in pages."""

from __future__ import annotations

from tests.localazure.arm_support import Arm


def test_a_list_comes_in_pages_with_absolute_links(arm: Arm) -> None:
    site = arm.site()
    names = {f"slot{number}" for number in range(5)}
    for name in names:
        arm.slot(site, name)
    with arm.azure.arm_pages(2):
        page = arm.get(f"{site}/slots")
        sizes, found = [len(page["value"])], list(page["value"])
        while page["nextLink"]:
            assert page["nextLink"].startswith(f"{arm.azure.management}/subscriptions/")
            answer = arm.call("GET", page["nextLink"])
            assert answer.headers["content-type"] == "application/json"
            page = answer.json()
            sizes.append(len(page["value"]))
            found += page["value"]
        assert sizes == [2, 2, 1]
        assert {one["name"].rpartition("/")[2] for one in found} == names
        wrong = arm.call("GET", f"{site}/slots", params={"$skiptoken": "?"})
        assert wrong.json()["error"]["code"] == "InvalidSkipToken"
    assert len(arm.get(f"{site}/slots")["value"]) == 5
