"""Each record moves only along its own lines, and a name is always free and well formed."""

from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muster.model import event as event_module
from muster.model.agent import ACTIVE, NAME, Agent, AgentStatus, Wanted, agent_status, name_for
from muster.model.event import Event, event_name
from muster.model.fleet import FAILURES, Fleet, FleetStatus, fleet_status
from muster.model.run import Outcome, Run, RunState
from muster.model.server import Server, ServerState, StopReason
from muster.model.turn import Ending, Turn, TurnKind
from unit.stage import refused

NOW = datetime(2026, 1, 1, tzinfo=UTC)
AGENT = Agent(
    id="agt_1",
    fleet="flt_1",
    position=0,
    name="a",
    role="a",
    persona="build",
    model=None,
    directory="/p",
    run="run_1",
    created_at=NOW,
)
RUN, _ = Run.queue(id="run_1", agent="agt_1", fleet="flt_1", number=1, now=NOW)
SERVER, _ = Server.want(id="srv_1", host="scripted", now=NOW)
TURN = Turn(id="trn_1", agent="agt_1", fleet="flt_1", kind=TurnKind.FIRST, preamble="", text="p", created_at=NOW)
FLEET = Fleet(id="flt_1", name="f", project="/", directory="/", spawned_by="operator", created_at=NOW)


@pytest.mark.parametrize("state", RunState)
@pytest.mark.parametrize(
    ("move", "lawful"),
    [
        (lambda run: run.admit("srv_1", 1), {RunState.QUEUED}),
        (lambda run: run.start("ses_1", NOW), {RunState.STARTING}),
        (
            lambda run: run.end(Outcome.DONE, None, NOW),
            {RunState.QUEUED, RunState.STARTING, RunState.WORKING},
        ),
    ],
    ids=["admit", "start", "end"],
)
def test_run_moves_only_from_the_states_that_it_may(state, move, lawful):
    run = replace(RUN, state=state)
    if state in lawful:
        moved, _ = move(run)
        assert moved.state is not state
        assert replace(run, state=moved.state).id == moved.id
    else:
        with refused("stale"):
            move(run)


@pytest.mark.parametrize("state", ServerState)
@pytest.mark.parametrize("generation", [0, 1, 2])
def test_server_hears_only_of_its_own_generation_and_state(state, generation):
    server = replace(SERVER, state=state)
    own = generation == 1
    ready = {"generation": generation, "pid": 1, "pid_started_at": 1.0, "port": 1, "version": "1", "now": NOW}
    if own and state is ServerState.STARTING:
        assert server.ready(**ready)[0].state is ServerState.READY
    else:
        with refused("stale"):
            server.ready(**ready)
    stop = {"generation": generation, "why": StopReason.LOST, "detail": None, "now": NOW}
    if own and state is not ServerState.STOPPED:
        assert server.stop(**stop)[0].state is ServerState.STOPPED
    else:
        with refused("stale"):
            server.stop(**stop)


def test_server_is_drained_once_while_it_is_ready_and_is_open_again_in_its_next_generation():
    ready, _ = SERVER.ready(generation=1, pid=1, pid_started_at=1.0, port=1, version="1", now=NOW)
    drained, _ = ready.drain(generation=1, memory_mib=5000)
    assert drained.swollen_mib == 5000
    for lawless in (SERVER, drained, replace(ready, generation=2)):
        with refused("stale"):
            lawless.drain(generation=1, memory_mib=5000)
    stopped, _ = drained.stop(generation=1, why=StopReason.SWOLLEN, detail=None, now=NOW)
    assert stopped.wake(NOW)[0].swollen_mib is None


def test_patience_with_a_server_doubles_with_each_shock_in_a_row_and_ends_with_the_calm():
    shaken = [SERVER]
    for _ in range(20):
        shaken.append(shaken[-1].shake())
    minutes = [server.patience / timedelta(minutes=1) for server in shaken]
    assert minutes[:5] == [1, 1, 2, 4, 8]
    assert minutes[-1] == 2**12
    assert shaken[-1].calm() == SERVER


def test_stopped_server_that_is_woken_is_the_next_generation_and_knows_no_process():
    stopped, _ = SERVER.stop(generation=1, why=StopReason.LOST, detail="gone", now=NOW)
    woken, wanted = stopped.wake(NOW)
    assert (woken.generation, woken.state, woken.pid, woken.port, woken.why, woken.detail) == (
        2,
        ServerState.STARTING,
        None,
        None,
        None,
        None,
    )
    assert wanted.generation == 2
    with refused("stale"):
        woken.wake(NOW)


@pytest.mark.parametrize("ending", Ending)
def test_turn_with_an_ending_is_never_sent_or_ended_again(ending):
    ended, _ = TURN.end(ending, NOW)
    with refused("stale"):
        ended.send("run_1", NOW)
    for other in Ending:
        with refused("stale"):
            ended.end(other, NOW)
    assert (ended.preamble, ended.text) == (TURN.preamble, TURN.text)


def test_cancelled_fleet_is_final():
    cancelled, _ = FLEET.cancel("enough", NOW)
    with refused("fleet_cancelled"):
        cancelled.cancel("more", NOW)
    with refused("fleet_cancelled"):
        cancelled.require_open()


@given(statuses=st.lists(st.sampled_from(AgentStatus)), cancelled=st.booleans())
def test_fleet_is_running_while_anyone_is_on_the_way_and_else_how_it_came_out(statuses, cancelled):
    fleet = replace(FLEET, cancelled_at=NOW if cancelled else None)
    status = fleet_status(fleet, statuses)
    assert (status is FleetStatus.RUNNING) == bool(ACTIVE & set(statuses))
    if status is not FleetStatus.RUNNING:
        assert (status is FleetStatus.CANCELLED) == cancelled
        paused = not cancelled and AgentStatus.PAUSED in statuses
        assert (status is FleetStatus.PAUSED) == paused
        assert (status is FleetStatus.FAILED) == (not cancelled and not paused and bool(FAILURES & set(statuses)))


def test_every_state_of_a_run_is_a_status_of_its_agent():
    for state in RunState:
        for outcome in Outcome:
            run = replace(RUN, state=state, outcome=outcome)
            for agent in (AGENT, replace(AGENT, paused="why"), replace(AGENT, wanted=Wanted.STOPPED)):
                assert (agent_status(agent, run) in ACTIVE) == (state is not RunState.ENDED)


@given(role=st.text(min_size=1, max_size=64), taken=st.lists(st.sampled_from(["a", "agent", "x" * 32, "lead"])))
def test_name_made_from_any_role_is_well_formed_and_free(role, taken):
    names = set(taken)
    for _ in range(12):
        name = name_for(role, names)
        assert NAME.fullmatch(name)
        assert name not in names
        names.add(name)


def test_long_roles_that_differ_at_the_end_get_different_names():
    names: set[str] = set()
    for number in range(120):
        names.add(name_for("x" * 60, names))
        assert len(names) == number + 1
    assert all(NAME.fullmatch(name) for name in names)


def test_every_event_is_told_as_noun_and_past_participle():
    kinds = [kind for kind in vars(event_module).values() if isinstance(kind, type) and issubclass(kind, Event)]
    names = [event_name(kind) for kind in kinds if kind is not Event]
    assert len(names) == len(set(names)) > 10
    assert all(name.count(".") == 1 and name.islower() for name in names)
    assert all({"fleet", "agent"} <= {field.name for field in fields(kind)} for kind in kinds)
