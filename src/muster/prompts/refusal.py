"""What an agent is told that asks for something and does not get it."""

GO_ON = "Go on without it, or say in your result what you would have needed."
REFUSAL = f"[muster] Refused: nobody is at the keyboard. {GO_ON}"


def operators_refusal(why: str | None) -> str:
    return f"[muster] The operator refused: {why}" if why else f"[muster] The operator refused. {GO_ON}"
