"""What somebody may do to clashes; and by which check it is found, of which row."""

COLUMNS = "id, fleet, agent, other, agent_tree, other_tree, paths, more, agent_told, other_told, lead_told, compared_at"
TWO = "FROM agents one JOIN agents two ON two.fleet = one.fleet AND two.position > one.position LIMIT 1"


def made(agent: str, other: str) -> str:
    """A row for two of a fleet, which nobody wrote."""
    values = f"'cls_1', one.fleet, {agent}, {other}, 't', 't', '[]', 0, '[]', '[]', '[]', 1"
    return f"INSERT INTO clashes ({COLUMNS}) SELECT {values} {TWO}"


TAMPERINGS: list[tuple[str, str, str]] = [
    ("clash.with_nobody", "'cls_1'", made("two.id", "one.id")),
    (
        "clash.standing_otherwise",
        "'cls_1'",
        f"{made('one.id', 'two.id')}; UPDATE clashes SET since = 1, paths = json_array('a')",
    ),
]
