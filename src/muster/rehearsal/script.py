"""Which step of which script answers a request, and what it says there."""

import json
import re

from muster.errors import InvalidInput
from muster.rehearsal.conversation import Conversation, Kind, ToolCall
from muster.rehearsal.scenario import Call, Match, Scenario, Script, Step
from muster.rehearsal.template import fill, fill_text, matching
from muster.rehearsal.wire import Answer, Tokens

SUMMARY = "A rehearsed summary."

# A common rule of thumb: one token is about four characters.
_CHARACTERS_PER_TOKEN = 4


def cast(scenario: Scenario, conversation: Conversation) -> Script:
    """The script for a conversation.

    The earliest user message that fits a script decides, and of the scripts that fit it the first, so
    that a later message (mail that names another agent) cannot change who is playing.
    """
    for text in conversation.users:
        for script in scenario.scripts:
            if not script.match.anyone and _fits(script.match, text, conversation.system):
                return script
    for script in scenario.scripts:
        if script.match.anyone:
            return script
    raise InvalidInput(why=f"No script is for this conversation: {conversation.users[:1]}")


def cue(script: Script, conversation: Conversation) -> tuple[int, Step]:
    """The step that is next, with its index; after the last step it is `then`."""
    index = conversation.played
    return index, script.steps[index] if index < len(script.steps) else script.then


def recite(step: Step, conversation: Conversation) -> Answer:
    """The step with its values and its tools; `InvalidInput` where the conversation does not provide them."""
    text = fill_text(step.say, conversation)
    calls = tuple(_call(call, number, conversation) for number, call in enumerate(step.calls))
    return Answer(text=text, calls=calls, tokens=_tokens(step, text, calls, conversation))


def aside(scenario: Scenario, conversation: Conversation) -> Answer:
    """The answer to a request of OpenCode's own; no step is taken."""
    text = scenario.title if conversation.kind is Kind.TITLE else SUMMARY
    return Answer(text=text, calls=(), tokens=_tokens(Step(), text, (), conversation))


def _fits(match: Match, text: str, system: str) -> bool:
    return (
        (match.text is None or match.text in text)
        and (match.regex is None or re.search(match.regex, text) is not None)
        and (match.system is None or match.system in system)
    )


def _call(call: Call, number: int, conversation: Conversation) -> ToolCall:
    arguments = json.dumps(fill(call.arguments, conversation), ensure_ascii=False)
    return ToolCall(
        id=f"call_{conversation.played}_{number}", name=_tool(call.tool, conversation.tools), arguments=arguments
    )


def _tool(name: str, offered: tuple[str, ...]) -> str:
    names = matching(name, offered)
    if len(names) != 1:
        why = f"may be {', '.join(names)}" if names else "is not offered"
        raise InvalidInput(why=f"The tool {name} {why}. Offered: {', '.join(offered) or 'none'}")
    return names[0]


def _tokens(step: Step, text: str, calls: tuple[ToolCall, ...], conversation: Conversation) -> Tokens:
    heard = sum(len(message.text) + _length(message.calls) for message in conversation.messages)
    usage = step.usage
    return Tokens(
        input=_counted(heard) if usage.input is None else usage.input,
        output=_counted(len(text) + _length(calls)) if usage.output is None else usage.output,
        reasoning=usage.reasoning,
        cached=usage.cached,
    )


def _length(calls: tuple[ToolCall, ...]) -> int:
    return sum(len(call.name) + len(call.arguments) for call in calls)


def _counted(characters: int) -> int:
    return max(1, characters // _CHARACTERS_PER_TOKEN)
