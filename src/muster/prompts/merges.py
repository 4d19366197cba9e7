"""What an agent is told of the landing of its work. What a command printed stands there as quoted text."""

from muster.model.merge import MergeFacts
from muster.prompts.messages import quoted
from muster.visible import in_quotes

FAILED = "Your work does not land: {why} Nothing of it is lost. Mend it; then it can be landed again."
COMMAND = "The command is {command}. It printed last:"


def failed_check(facts: MergeFacts) -> str:
    command = COMMAND.format(command=in_quotes(facts.check or ""))
    return "\n".join([FAILED.format(why=facts.why), command, quoted(facts.output or "nothing")])
