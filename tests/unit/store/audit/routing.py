"""What somebody may do to claims and evidence; and by which check it is found, of which row."""

CLAIM = "INSERT INTO capabilities (id, agent, fleet, role, skills, by, registered_at)"
EVIDENCE = (
    "INSERT INTO outcomes (id, agent, fleet, persona, capability_key, successes, failures, recorded, recorded_at)"
)

TAMPERINGS: list[tuple[str, str, str]] = [
    (
        "capability.registered_otherwise",
        "'cap_1'",
        f"{CLAIM} SELECT 'cap_1', id, fleet, 'anything', '[]', 'operator', 1 FROM agents LIMIT 1",
    ),
    (
        "outcome.recorded_otherwise",
        "'out_1'",
        f"{EVIDENCE} SELECT 'out_1', id, fleet, 'build', 'sql', 9, 0, 9, 1 FROM agents LIMIT 1",
    ),
]
