"""The words of a turn that asks for an answer which did not come."""

ASK_FOR_ANSWER = "[muster] Your last turn ended without an answer. Give your result now, complete and self-contained."
