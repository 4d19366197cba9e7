from typing import NewType

RunId = NewType("RunId", str)
