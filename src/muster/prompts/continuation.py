"""The words of a turn that goes on after a pause."""

GO_ON = "[muster] You were paused and are let go on. Continue your task where you stopped; repeat nothing that is done."
