"""`muster init` and what takes it back: changes to the user's own OpenCode configuration, planned, shown, then made.

Above it: the command line. Below it: the user's files, and `init.json` in the state folder, which says what was added.
"""
