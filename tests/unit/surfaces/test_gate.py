"""Where from, then who, then where to, then what: the first thing that is wrong is the one that is told."""

import hmac
from functools import partial
from hashlib import sha256

import anyio
import httpx2
import pytest

from muster.commands import servers as server_commands
from muster.model.actor import SYSTEM, ActorKind
from muster.model.ceiling import Ceilings, Sharding
from muster.model.server import StopReason
from muster.surfaces.tokens import Claim, Keyring
from unit.stage import Stage, refused, server_rows
from unit.surfaces.doors import caller, code

pytestmark = pytest.mark.anyio

EVIL = {"origin": "http://evil.example"}


async def admitted_server(stage: Stage):
    """The row of a server that a queued run was given a place on."""
    admit = stage.engine.catalog["run.admit"]
    await stage.engine.execute(admit, SYSTEM, ceilings=Ceilings(), sharding=Sharding(), host="scripted")
    return (await server_rows(stage))[-1]


def forged(subject: str, key: bytes = b"k" * 32) -> str:
    """A token whose signature is right, over any subject."""
    return f"{subject}.{hmac.new(key, subject.encode(), sha256).hexdigest()}"


async def test_each_check_comes_before_the_next(url, stage):
    good, bad = stage.keyring.operator(), "operator.hub.0.bad"
    steps = [
        (bad, {"host": "evil.example"}, "/nowhere", b"{", (403, "denied")),
        (bad, EVIL, "/nowhere", b"{", (403, "denied")),
        (bad, {}, "/nowhere", b"{", (401, "unauthenticated")),
        (good, {}, "/nowhere", b"{", (404, "not_found")),
        (good, {}, "/api/v1/fleet.nothing", b"{", (404, "not_found")),
        (good, {}, "/api/v1/fleet.list", b"{", (400, "malformed_json")),
    ]
    for token, headers, path, body, expected in steps:
        async with caller(url, token, **headers) as http:
            assert code(await http.post(path, content=body)) == expected


ELSEWHERE = [
    {"host": "evil.example"},
    {"host": "evil.example:4747"},
    {"host": "127.0.0.1.evil.example"},
    {"host": "127.0.0.1@evil.example"},
    {"host": "localhost."},
    {"host": "0.0.0.0"},
    {"host": ""},
    {"host": "[::1"},
    {"host": "[evil]"},
    {"origin": "http://evil.example"},
    {"origin": "null"},
    {"origin": ""},
    {"origin": "http://127.0.0.1:1"},
    {"origin": "http://localhost"},
    {"origin": "http://["},
    {"origin": "http://[::1"},
    {"origin": "file://"},
]


async def test_request_from_elsewhere_is_denied_even_with_a_token_and_for_healthz(operator):
    for headers in ELSEWHERE:
        for method, path in (("OPTIONS", "/api/v1/hub.ping"), ("GET", "/healthz")):
            answer = await operator.request(method, path, headers=headers)
            assert (headers, code(answer)) == (headers, (403, "denied"))
            assert not [name for name in answer.headers if name.startswith("access-control")]


async def test_every_name_of_this_machine_is_let_in(operator):
    for host in ("127.0.0.1", "localhost", "LOCALHOST", "[::1]", "127.0.0.1:4747", "localhost:1"):
        answer = await operator.post("/api/v1/hub.ping", headers={"host": host, "origin": f"http://{host}"})
        assert (host, answer.status_code) == (host, 200)


async def test_healthz_alone_needs_no_token_and_says_nothing_else(url):
    async with caller(url) as http:
        assert (await http.get("/healthz")).json() == {"ok": True}
        for method, path in (
            ("POST", "/healthz"),
            ("GET", "/healthz/"),
            ("GET", "/"),
            ("OPTIONS", "/api/v1/fleet.list"),
            ("GET", "/api/v1/events"),
            ("GET", "/mcp"),
            ("POST", "/bridge/hello"),
        ):
            assert code(await http.request(method, path)) == (401, "unauthenticated"), path


BROKEN = {
    "other key": Keyring(b"x" * 32).operator(),
    "truncated": Keyring(b"k" * 32).operator()[:-1],
    "longer": Keyring(b"k" * 32).operator() + "0",
    "upper case": Keyring(b"k" * 32).operator().upper(),
    "no signature": "operator.hub.0.",
    "signature alone": Keyring(b"k" * 32).operator().rpartition(".")[2],
    "garbage": "☃".encode().decode("latin-1"),
    "dots": "....",
    "nobody": forged("agent.agt_unknown.0"),
    "no such kind": forged("emperor.hub.0"),
    "empty subject": forged(""),
    "the system": forged("system.hub.0"),
    "a host server's password": forged("password.srv_1.1"),
}


async def test_token_that_stands_for_nobody_is_refused(url):
    async with caller(url) as http:
        for name, token in BROKEN.items():
            header = f"Bearer {token}".encode("latin-1")
            answer = await http.post("/api/v1/hub.ping", headers={"authorization": header})
            assert (name, code(answer)) == (name, (401, "unauthenticated"))


async def test_header_that_holds_no_bearer_token_is_refused(url, stage):
    token = stage.keyring.operator()
    async with caller(url) as http:
        for value in ("", "Bearer", "Basic abc", token, f"Bearer\u00a0{token}", f"Bearer,{token}"):
            answer = await http.post("/api/v1/hub.ping", headers={"authorization": value.encode("latin-1")})
            assert (value, code(answer)) == (value, (401, "unauthenticated"))


async def test_token_in_the_query_counts_for_nothing(url, stage):
    async with caller(url) as http:
        answer = await http.post("/api/v1/hub.ping", params={"token": stage.keyring.operator()})
    assert code(answer) == (401, "unauthenticated")


async def test_token_of_an_agent_dies_with_it(url, stage):
    spawned = await stage.spawn("a", "b")
    first, second = spawned["agent_ids"]
    async with caller(url, stage.keyring.agent(first)) as http, caller(url, stage.keyring.agent(second)) as other:
        assert (await http.post("/api/v1/actor.whoami")).json()["agent_id"] == first
        await stage.call("agent.cancel", agent_id=first)
        assert code(await http.post("/api/v1/actor.whoami")) == (401, "unauthenticated")
        assert (await other.post("/api/v1/actor.whoami")).json()["agent_id"] == second


async def test_token_of_an_agent_whose_row_is_being_read_while_it_ends_is_not_remembered(url, stage):
    agent = (await stage.spawn("a"))["agent_ids"][0]
    answers: set[int] = set()

    async def ask(http: httpx2.AsyncClient) -> None:
        answers.add((await http.post("/api/v1/actor.whoami")).status_code)

    async with caller(url, stage.keyring.agent(agent)) as http:
        async with anyio.create_task_group() as tasks:
            for _ in range(20):
                tasks.start_soon(ask, http)
            tasks.start_soon(partial(stage.call, "agent.cancel", agent_id=agent))
        assert code(await http.post("/api/v1/actor.whoami")) == (401, "unauthenticated")
    assert answers <= {200, 401}


async def test_token_of_a_host_server_is_void_once_its_generation_has_moved_or_it_has_stopped(url, stage):
    await stage.spawn("a")
    server = await admitted_server(stage)
    token, next_token = (stage.keyring.server(server.id, generation) for generation in (1, 2))
    async with caller(url, token) as http, caller(url, next_token) as following:
        assert (await http.post("/bridge/hello")).status_code == 200
        assert code(await following.post("/bridge/hello")) == (401, "unauthenticated")
        await stage.engine.execute(server_commands.stop, SYSTEM, server=server.id, generation=1, why=StopReason.LOST)
        assert code(await http.post("/bridge/hello")) == (401, "unauthenticated")
        await admitted_server(stage)
        assert code(await http.post("/bridge/hello")) == (401, "unauthenticated")
        assert (await following.post("/bridge/hello")).status_code == 200


async def test_token_of_an_agent_or_a_server_with_another_kind_in_front_is_refused(url, stage):
    spawned = await stage.spawn("a")
    mac = stage.keyring.agent(spawned["agent_ids"][0]).rpartition(".")[2]
    for subject in ("operator.hub.0", f"server.{spawned['agent_ids'][0]}.0", f"agent.{spawned['agent_ids'][0]}.1"):
        async with caller(url, f"{subject}.{mac}") as http:
            assert code(await http.post("/api/v1/hub.ping")) == (401, "unauthenticated")


async def test_directory_header_is_where_the_caller_stands(url, stage):
    odd = stage.project / "a % ü"
    odd.mkdir()
    wish = {"agents": [{"role": "r", "prompt": "p"}]}
    async with caller(url, stage.keyring.operator()) as http:
        header = {"x-muster-directory": str(odd).replace("%", "%25").replace("ü", "%C3%BC")}
        spawned = (await http.post("/api/v1/fleet.spawn", json=wish, headers=header)).json()
        assert (await stage.call("fleet.status", fleet_id=spawned["fleet_id"]))["fleet"]["project"] == str(odd)
        for value in ("%00", "%FF%FE", "relative", "/nowhere/at/all", "%ED%A0%80", "/" + "x" * 5000):
            answer = await http.post("/api/v1/fleet.spawn", json=wish, headers={"x-muster-directory": value})
            assert answer.status_code == 400, (value, answer.text)
            assert code(answer) == (400, "bad_value")


def test_every_token_is_read_as_whom_it_was_made_for():
    keyring = Keyring(b"k" * 32)
    assert keyring.read(keyring.operator()) == Claim(kind=ActorKind.OPERATOR, id="hub", generation=0)
    assert keyring.read(keyring.agent("agt_1")) == Claim(kind=ActorKind.AGENT, id="agt_1", generation=0)
    assert keyring.read(keyring.server("srv_1", 3)) == Claim(kind=ActorKind.SERVER, id="srv_1", generation=3)


def test_key_is_made_once_and_readable_by_its_user_alone(tmp_path):
    first = Keyring.at(tmp_path / "key").operator()
    assert Keyring.at(tmp_path / "key").operator() == first
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("left", [b"", b"short", b"k" * 31, b"k" * 33])
def test_key_file_that_holds_no_whole_key_is_refused_rather_than_used(tmp_path, left):
    (tmp_path / "key").write_bytes(left)
    with refused("key_damaged"):
        Keyring.at(tmp_path / "key")
    assert (tmp_path / "key").read_bytes() == left


def test_key_that_was_being_made_when_the_hub_was_killed_is_made_again(tmp_path):
    (tmp_path / "key.new").write_bytes(b"half")
    assert Keyring.at(tmp_path / "key").operator() == Keyring.at(tmp_path / "key").operator()
    assert [file.name for file in tmp_path.iterdir()] == ["key"]
