"""`muster doctor`: every part looked at by itself, without a hub, also where the state is damaged.

Above it: the command line. Below it: the machine. A check reads; what it found may bring its own mending, which is only
ever something that cannot lose anything.
"""
