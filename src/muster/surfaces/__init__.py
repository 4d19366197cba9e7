"""The doors: each parses, names the actor, and renders. None decides anything about fleets."""
