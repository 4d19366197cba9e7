import pytest
from hypothesis import given
from hypothesis import strategies as st

from muster.errors import BadValue
from muster.routing.scoring import Index, Profile, Rarity
from muster.routing.vocabulary import Kind, Vocabulary, extended, shipped, vocabulary

WORDS = st.lists(st.sampled_from(["sql", "css", "react", "nextjs", "parser", "k8s", "docs", "a", "not", "zebra"]))


def index(*profiles: Profile, words: Vocabulary | None = None) -> Index:
    known = words or shipped()
    made = Index(known, Rarity(profiles, known))
    for profile in profiles:
        made.put(profile)
    return made


def ids(made: Index, request: str) -> list[str]:
    return [fit.id for fit in made.fits(request)]


def test_a_role_counts_more_than_a_skill_and_that_more_than_a_text():
    made = index(Profile(id="a", text="parser"), Profile(id="b", skills=("parser",)), Profile(id="c", role="parser"))
    assert ids(made, "parser") == ["c", "b", "a"]


def test_ties_are_in_order_of_ids():
    made = index(*(Profile(id=id, skills=("sql",)) for id in "cab"))
    assert ids(made, "sql") == ["a", "b", "c"]


def test_a_taxonomy_makes_neighbours_and_without_it_there_are_none():
    react, nextjs = Profile(id="react", skills=("react",)), Profile(id="nextjs", skills=("nextjs",))
    tree = vocabulary([], [{"web": {"frontend": ["react", "nextjs"]}}])
    assert ids(index(react, nextjs, words=tree), "nextjs") == ["nextjs", "react"]
    assert ids(index(react, nextjs, words=vocabulary([], [])), "nextjs") == ["nextjs"]


def test_reasons_say_what_was_met_how_and_where():
    made = index(Profile(id="a", role="dba", skills=("postgres",)))
    (fit,) = made.fits("the dba for postgresql")
    assert {(reason.met, reason.kind, reason.place) for reason in fit.why()} == {
        ("dba", Kind.LITERAL, "role"),
        ("postgr", Kind.SYNONYM, "skill"),
    }


def test_a_profile_that_is_put_again_takes_the_place_of_the_earlier_one():
    made = index(Profile(id="a", skills=("sql",)))
    made.put(Profile(id="a", skills=("css",)))
    assert (ids(made, "sql"), ids(made, "css"), len(made)) == ([], ["a"], 1)
    made.drop("a")
    assert (ids(made, "css"), len(made)) == ([], 0)


def test_the_users_own_files_stand_beside_the_shipped_ones(tmp_path):
    synonyms, taxonomy = tmp_path / "s.yaml", tmp_path / "t.yaml"
    synonyms.write_text("- [frobnicator, flux capacitor]\n")
    taxonomy.write_text("time travel:\n  drives: [frobnicator, tachyon]\n")
    made = index(
        Profile(id="a", skills=("flux capacitor",)),
        Profile(id="b", skills=("tachyon",)),
        Profile(id="c", skills=("kubernetes",)),
        words=extended(synonyms, taxonomy),
    )
    assert ids(made, "frobnicator") == ["a", "b"]
    assert ids(made, "k8s") == ["c"]


@pytest.mark.parametrize("text", ["a: [", "just words", "- not a list", "- [a, {b: c}]"])
def test_a_broken_file_is_named(tmp_path, text):
    file = tmp_path / "words.yaml"
    file.write_text(text)
    with pytest.raises(BadValue):
        extended(file, None)


@given(WORDS, st.lists(WORDS, max_size=6))
def test_scores_are_bounded_in_order_and_depend_on_nobody_else(request, others):
    profiles = [Profile(id=str(number), skills=tuple(words)) for number, words in enumerate(others)]
    made = index(*profiles)
    fits = made.fits(" ".join(request))
    assert [fit.score for fit in fits] == sorted((fit.score for fit in fits), reverse=True)
    assert all(0 <= fit.score <= 1 and (fit.score or fit.refused) for fit in fits)
    alone = Index(shipped(), Rarity(profiles, shipped()))
    for profile in profiles:
        alone.put(profile)
        assert [fit.score for fit in alone.fits(" ".join(request))] == [
            fit.score for fit in fits if fit.id == profile.id
        ]
        alone.drop(profile.id)
