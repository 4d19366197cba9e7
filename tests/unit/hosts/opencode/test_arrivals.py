"""What stands in OpenCode's messages to how far it got."""

from typing import Any

import pytest

from muster.hosts.opencode.arrivals import prompt_arrival
from muster.model.delivery import Arrival


def user(id: str, at: int) -> dict[str, Any]:
    return {"info": {"id": id, "role": "user", "time": {"created": at}}, "parts": []}


def step(parent: str, **info: Any) -> dict[str, Any]:
    told = {"id": f"msg_of_{parent}", "role": "assistant", "parentID": parent, "time": {"created": 30, "completed": 40}}
    return {"info": told | {"finish": "stop"} | info, "parts": []}


FIRST, MAIL = user("msg_first", 10), user("msg_mail", 20)


@pytest.mark.parametrize(
    ("newest", "arrival"),
    [
        ([FIRST, MAIL], Arrival.STANDS),
        ([FIRST, MAIL, step("msg_mail")], Arrival.SEEN),
        ([FIRST, MAIL, step("msg_mail", time={"created": 30})], Arrival.STANDS),
        ([FIRST, MAIL, step("msg_mail", error={"name": "APIError"})], Arrival.STANDS),
        ([FIRST, MAIL, step("msg_first")], Arrival.STANDS),
        ([FIRST, MAIL, step("msg_first"), step("msg_mail")], Arrival.SEEN),
        ([MAIL, step("msg_older_than_the_newest")], Arrival.STANDS),
        ([MAIL, user("msg_later", 25), step("msg_later")], Arrival.SEEN),
        ([step("msg_first")], Arrival.SEEN),
    ],
)
def test_prompt_is_seen_when_a_step_that_was_asked_with_it_has_ended(newest: list[Any], arrival: Arrival) -> None:
    assert prompt_arrival(MAIL, newest) is arrival


def test_prompt_that_the_session_does_not_have_is_absent() -> None:
    assert prompt_arrival(None, [FIRST, step("msg_first")]) is Arrival.ABSENT
