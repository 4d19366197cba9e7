"""What a bridge says, in one shape for all its routes."""

from typing import Any  # tool arguments are JSON

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request

from muster.errors import MalformedJson
from muster.model.ids import NoticeId, SessionId
from muster.model.notice import NoticeEnding
from muster.surfaces.http import body


class Message(BaseModel):
    """Fields that this hub does not know are left alone: the bridge may be a newer one."""

    model_config = ConfigDict(strict=True, extra="ignore")
    session: SessionId = SessionId("")
    directory: str = ""
    bridge: str = ""
    tool: str = ""
    arguments: dict[str, Any] = {}
    request_id: str | None = None
    message: str = Field(default="", pattern=r"^[A-Za-z0-9_-]*$")  # it becomes part of a path
    call: str = ""
    kind: str = ""
    notice: NoticeId = NoticeId("")
    ending: NoticeEnding = NoticeEnding.TOLD


async def read_message(request: Request) -> Message:
    """From the body, or from the query of a question that changes nothing."""
    try:
        if request.method == "GET":
            return Message.model_validate(dict(request.query_params))
        return Message.model_validate_json(await body(request))
    except ValidationError as error:
        raise MalformedJson(why=str(error.errors(include_url=False)[0]["msg"])) from error
