"""The words of a turn that asks for an answer which did not come."""

from muster.prompts.refusal import GO_ON

AFTER_REFUSAL = f"[muster] Your last turn was ended: it repeated one call, or wanted what was refused. {GO_ON}"
ASK_FOR_ANSWER = "[muster] Your last turn ended without an answer. Give your result now, complete and self-contained."
