from __future__ import annotations

import logging

import pytest

from df2s2_d2.training.process_place import (
    ProcessPlace,
    expand_counts,
    expand_hosts,
    place_from_environment,
    rank_in_environment,
)
from tests.launcher_environments import BATCH_SCRIPT, SRUN, TORCHRUN


def changed(environ: dict[str, str], without: tuple[str, ...] = (), **variables: str) -> dict:
    return {k: v for k, v in {**environ, **variables}.items() if k not in without}


def refusal(environ: dict[str, str]) -> str:
    with pytest.raises(ValueError) as caught:
        place_from_environment(environ)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# torchrun


def test_torchrun_process():
    assert place_from_environment(TORCHRUN) == ProcessPlace(5, 8, 1, 4, "env://")


def test_only_process_of_torchrun_needs_no_group():
    one = {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "1"}
    assert place_from_environment(one) is None


def test_process_of_a_cluster_that_sets_ranks_of_machines():
    """As Kubernetes' training operator does for pods of one process each."""
    pod = changed(TORCHRUN, ("LOCAL_RANK", "LOCAL_WORLD_SIZE", "GROUP_RANK"))
    assert place_from_environment(pod) == ProcessPlace(5, 8, 0, 1, "env://")


def test_no_launcher():
    assert place_from_environment({}) is None
    assert place_from_environment({"WORLD_SIZE": "1", "HOME": "/root"}) is None


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("WORLD_SIZE", "RANK"),
        ("RANK", "WORLD_SIZE"),
        ("LOCAL_WORLD_SIZE", "LOCAL_RANK"),
        ("LOCAL_RANK", "LOCAL_WORLD_SIZE"),
        ("MASTER_ADDR", "MASTER_ADDR"),
        ("MASTER_PORT", "MASTER_PORT"),
    ],
)
def test_missing_variable_of_torchrun_is_named(name, other):
    message = refusal(changed(TORCHRUN, (name,)))
    assert name in message and other in message and "torchrun" in message


@pytest.mark.parametrize(
    ("name", "value"),
    [("RANK", "-1"), ("WORLD_SIZE", "0"), ("LOCAL_RANK", "one"), ("LOCAL_WORLD_SIZE", "0")],
)
def test_wrong_number_is_named(name, value):
    message = refusal(changed(TORCHRUN, **{name: value}))
    assert name in message and repr(value) in message


@pytest.mark.parametrize(
    "variables",
    [
        {"RANK": "8"},  # of 0 to 7
        {"LOCAL_RANK": "2"},  # the fifth of processes by fours is number 1 on its machine
        {"LOCAL_WORLD_SIZE": "3"},  # 8 processes are not by threes
        {"GROUP_RANK": "0"},  # there are ranks 0 to 3
    ],
)
def test_numbers_of_torchrun_that_contradict_each_other(variables):
    assert "8 processes" in refusal(changed(TORCHRUN, **variables)) or "GROUP_RANK" in refusal(
        changed(TORCHRUN, **variables)
    )


def test_torchrun_under_srun_counts():
    """One task of srun a machine, each of them torchrun."""
    assert place_from_environment({**SRUN, **TORCHRUN}) == place_from_environment(TORCHRUN)


# srun


def test_srun_task():
    place = place_from_environment(SRUN)
    # 12000 + 31 * 1234 % 20000: a port that all tasks work out for themselves.
    assert place == ProcessPlace(3, 4, 1, 2, "tcp://gpu01:30254")


def test_tasks_of_one_machine_meet_without_its_name():
    one_machine = changed(SRUN, SLURM_STEP_TASKS_PER_NODE="4", SLURM_LOCALID="3")
    assert place_from_environment(one_machine) == ProcessPlace(3, 4, 3, 4, "tcp://127.0.0.1:30254")


def test_steps_of_a_job_meet_at_ports_of_their_own():
    urls = {
        place_from_environment(changed(SRUN, SLURM_JOB_ID=job, SLURM_STEP_ID=step)).init_method
        for job in ("1234", "1235", "99999999")
        for step in ("0", "1")
    }
    assert len(urls) == 6
    assert all(1024 < int(url.rpartition(":")[2]) < 32768 for url in urls)


def test_meeting_place_of_the_job_script_counts():
    place = place_from_environment({**SRUN, "MASTER_ADDR": "10.0.0.7", "MASTER_PORT": "4000"})
    assert place.init_method == "tcp://10.0.0.7:4000"


def test_older_names_of_slurm():
    old = changed(
        SRUN,
        ("SLURM_STEP_ID", "SLURM_STEP_NODELIST", "SLURM_STEP_TASKS_PER_NODE"),
        SLURM_STEPID="0",
    )
    assert place_from_environment(old) == place_from_environment(SRUN)


def test_batch_script_is_one_process_and_says_so(caplog):
    with caplog.at_level(logging.WARNING):
        assert place_from_environment(BATCH_SCRIPT) is None
    assert "not started by srun" in caplog.text
    assert rank_in_environment(BATCH_SCRIPT) == "0"


@pytest.mark.parametrize("step", ["4294967290", "4294967291"])
def test_shell_of_salloc_and_batch_step_are_one_process(step):
    """SLURM numbers its own steps from above; their tasks are those of the job."""
    shell = {**SRUN, "SLURM_PROCID": "0", "SLURM_STEP_ID": step}
    assert place_from_environment(shell) is None


def test_shell_of_srun_is_one_process(caplog):
    """``srun --ntasks 4 --pty bash``: nobody answers what is typed into the shell of task 0."""
    assert place_from_environment(SRUN, interactive=True) is None
    assert not caplog.records


def test_only_task_of_a_step():
    assert place_from_environment({**SRUN, "SLURM_STEP_NUM_TASKS": "1"}) is None


@pytest.mark.parametrize(
    ("variables", "part"),
    [
        ({"SLURM_STEP_TASKS_PER_NODE": "3,1"}, "--ntasks-per-node"),
        ({"SLURM_STEP_TASKS_PER_NODE": "2(x3)"}, "are 6"),
        ({"SLURM_STEP_TASKS_PER_NODE": "two"}, "'two'"),
        ({"SLURM_STEP_NODELIST": "gpu[01-"}, "'gpu[01-'"),
        ({"SLURM_LOCALID": "0"}, "--distribution=block"),  # task 3 of a cyclic distribution
        ({"SLURM_PROCID": "x"}, "SLURM_PROCID"),
        ({"MASTER_PORT": "http"}, "MASTER_PORT"),
    ],
)
def test_what_srun_cannot_have_meant(variables, part):
    assert part in refusal({**SRUN, **variables})


@pytest.mark.parametrize("name", ["SLURM_LOCALID", "SLURM_TASKS_PER_NODE"])
def test_missing_variable_of_srun_is_named(name):
    assert name in refusal(changed(SRUN, (name, "SLURM_STEP_TASKS_PER_NODE")))


@pytest.mark.parametrize("name", ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE"])
def test_mpirun_is_refused(name):
    """Its processes would all be rank 0 and write into one folder."""
    assert name in refusal({name: "2"})
    assert place_from_environment({name: "1"}) is None


@pytest.mark.parametrize(
    ("environ", "rank"),
    [({}, "0"), ({"RANK": "3"}, "3"), (SRUN, "3"), ({**SRUN, "RANK": "1"}, "1")],
)
def test_rank_for_messages(environ, rank):
    assert rank_in_environment(environ) == rank


# SLURM's short forms


@pytest.mark.parametrize(
    ("text", "counts"),
    [("4", [4]), ("2(x3),1", [2, 2, 2, 1]), ("8(x2)", [8, 8]), ("1,2,1", [1, 2, 1])],
)
def test_counts(text, counts):
    assert expand_counts(text) == counts


@pytest.mark.parametrize("text", ["", "2(x)", "2(3)", "2,,1", "-1"])
def test_wrong_counts(text):
    with pytest.raises(ValueError, match="tasks per node"):
        expand_counts(text)


@pytest.mark.parametrize(
    ("text", "hosts"),
    [
        ("login", ["login"]),
        ("a,b-2", ["a", "b-2"]),
        ("node[01-03,07]", ["node01", "node02", "node03", "node07"]),
        ("gpu[9-11]", ["gpu9", "gpu10", "gpu11"]),
        ("n[098-101].hpc", ["n098.hpc", "n099.hpc", "n100.hpc", "n101.hpc"]),
        ("rack[1-2]n[1-2],x", ["rack1n1", "rack1n2", "rack2n1", "rack2n2", "x"]),
    ],
)
def test_hosts(text, hosts):
    assert expand_hosts(text) == hosts


@pytest.mark.parametrize("text", ["", "node[01-03", "node[]", "node[a-b]", "a,,b", "node]1["])
def test_wrong_hosts(text):
    with pytest.raises(ValueError, match="list of nodes"):
        expand_hosts(text)
