"""What an agent is told that asks for what nobody is there to grant."""

REFUSAL = (
    "[muster] Refused: nobody is at the keyboard. Go on without it, or say in your result what you would have needed."
)
