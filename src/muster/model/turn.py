from typing import NewType

TurnId = NewType("TurnId", str)
