"""How deep a lanternfish swims: it hides from the light by day and feeds near the surface by night."""

DAY, NIGHT = 900, 60
DAWN, DUSK = 6, 18


def depth(hour: int) -> int:
    """Metres below the surface at an hour from 0 to 23."""
    if not 0 <= hour < 24:
        raise ValueError(f"there is no hour {hour}")
    return DAY if DAWN <= hour < DUSK else NIGHT
