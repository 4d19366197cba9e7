from lanternfish import depth


def test_it_hides_by_day():
    assert depth(hour=12) == 900


def test_it_feeds_by_night():
    assert depth(hour=0) == 60
