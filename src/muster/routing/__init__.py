"""Which of many fits a piece of work, by words alone. Pure: no clock, no store, no file but its own data.

Above it: `views/routes.py`, which weighs the fit with what is known of each (busy, failed, what came of its work).
Below it: nothing. It knows no agents and no personas, only profiles: somebody with a role, skills and a text.
"""
