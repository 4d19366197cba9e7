"""Where effects happen. A reconciler reads what is wanted and what is, acts, and reports with a command.

Each is a keyed queue: one row is never worked on twice at a time, and what is done must be safe to do again. A
restart is only the first pass: there is no recovery beside it.
"""
