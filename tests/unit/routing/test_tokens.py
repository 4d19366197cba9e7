import pytest

from muster.routing.tokens import read, words_of


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Reviewing the reviews", ("review", "review")),
        ("fix CI", ("fix", "ci")),
        ("next.js, Node.js and .NET", ("nextj", "nodej", "dotnet")),
        ("C++ or C#", ("c++", "c#")),
        ("end-to-end tests of the front-end", ("e2e", "test", "frontend")),
        ("users can't log in", ("user", "login")),
        ("a Go service", ("golang", "servic")),
        ("where do we go", ()),
        ("NullPointerException", ("nullpointerexcept", "null", "pointer", "except")),
        ("Übersetzung prüfen", ("ubersetzung", "prufen")),
        ("the parser's error", ("parser", "error")),
        ("3 of 5 a b c", ("c",)),
        ("accessibility of access", ("accessibility", "access")),
        ("", ()),
    ],
)
def test_text_is_read_as_stemmed_words_that_say_something(text, words):
    assert words_of(text) == words


@pytest.mark.parametrize(
    ("text", "wanted", "unwanted"),
    [
        ("not the frontend, the api is slow", {"api", "slow"}, {"frontend"}),
        ("the login does not work", {"login"}, set()),
        ("the docs are not rendering", {"doc", "render"}, set()),
        ("do not touch the frontend, fix the api", {"fix", "api"}, {"frontend"}),
        ("speed it up without caching", {"speed"}, {"cach"}),
        ("tests instead of docs", {"test"}, {"doc"}),
        ("no css, but the css parser", {"css", "parser"}, set()),
        ("nicht das Frontend, sondern die API", {"api"}, {"frontend"}),
    ],
)
def test_what_is_not_wanted_is_told_apart_from_what_does_not_work(text, wanted, unwanted):
    told = read(text)
    assert (set(told.wanted), set(told.unwanted)) == (wanted, unwanted)
