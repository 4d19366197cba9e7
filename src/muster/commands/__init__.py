"""Every change. A command is a synchronous function of (transaction, actor, arguments): it cannot cause an effect."""
