"""The coordinator's side: what starts, who may tell it what to do, and what it keeps."""

import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from flwr.proto.control_pb2 import ListNodesRequest, StopRunRequest
from flwr.proto.fleet_pb2 import RegisterNodeFleetRequest

from chexviz.base.errors import InputError
from chexviz.federation.network import control, credentials, superlink
from chexviz.federation.network.conduct import resubmit
from chexviz.federation.network.control import nodes, register, sole, submit, unregister
from chexviz.federation.network.link import LOG_FILE, SECONDS_TO_STOP, Link
from chexviz.federation.network.node import Node
from chexviz.federation.network.task import RunEnded, serving
from chexviz.federation.rounds import STOPPED
from made_links import (
    answering,
    connect,
    coordinator,
    exchange,
    free_port,
    gone,
    other_server,
    proxy,
    seen_of_process,
    site,
    values_of,
)

ORPHAN = """
import os, sys
from pathlib import Path
from chexviz.federation.network.link import Link
link = Link(Path(sys.argv[1]), "127.0.0.1", int(sys.argv[2])).__enter__()
print(link.process.pid, flush=True)
os._exit(1)
"""


@pytest.fixture(scope="module")
def link(tmp_path_factory):
    folder = coordinator(tmp_path_factory.mktemp("coordinator"))
    with Link(folder, "127.0.0.1", free_port()) as started:
        yield started


def public(key):
    return credentials.read_public(credentials.public_path(key))


def test_sites_are_registered_by_name_and_key(link, tmp_path):
    north, south = site(tmp_path, "north"), site(tmp_path, "south")
    register(link.access, "north", public(north))
    with pytest.raises(InputError, match="a name and a key that no registered site has"):
        register(link.access, "north", public(south))
    with pytest.raises(InputError, match="a name and a key that no registered site has"):
        register(link.access, "south", public(north))
    [known] = nodes(link.access)
    assert known[:4] == ("north", credentials.fingerprint(public(north)), False, None)
    with connect(link.access, north):
        [known] = nodes(link.access)
        assert known.online
    assert not nodes(link.access)[0].online
    assert nodes(link.access)[0].seen is not None
    with pytest.raises(InputError, match=r"one of north[\s\S]*no site of this name"):
        unregister(link.access, "south")
    unregister(link.access, "north")
    register(link.access, "north", public(south))  # the site has a new key
    unregister(link.access, "north")


def test_without_the_secret_nobody_tells_it_anything(link, tmp_path):
    credentials.make_secret(tmp_path / "secret")
    with pytest.raises(InputError, match="the secret that the server"):
        nodes(link.access._replace(secret=tmp_path / "secret"))
    run = submit(link.access)
    with (
        pytest.raises(InputError, match="the secret that the server"),
        serving(link.access._replace(secret=tmp_path / "secret"), run),
    ):
        pass
    ask = control.ControlHttpClient.from_server_address(
        link.access.address, False, link.access.authority.read_bytes(), []
    )
    with ask, pytest.raises(Exception, match="401"):
        ask.ListNodes(ListNodesRequest())
    (tmp_path / "secret").chmod(0o644)
    with pytest.raises(InputError, match="owner alone"):
        nodes(link.access._replace(secret=tmp_path / "secret"))


def test_no_secret_is_in_the_list_of_processes_or_the_log(link):
    names = ("secret", "server.key", "ca.key")
    secrets = [(link.folder / name).read_bytes().splitlines()[:2][-1] for name in names]
    seen = seen_of_process(link.process.pid) + (link.folder / LOG_FILE).read_bytes()
    assert b"superlink" in seen
    assert not [secret for secret in secrets if secret in seen]
    assert (link.folder / superlink.DATABASE).stat().st_mode & 0o077 == 0


def test_a_run_that_is_over_ends_what_serves_it(link):
    run = submit(link.access)
    with serving(link.access, run) as grid:
        with control.calling(link.access) as client:
            client.StopRun(StopRunRequest(run_id=run))
        with pytest.raises(RunEnded):
            grid.get_nodes()
    with pytest.raises(RunEnded), serving(link.access, run):
        pass


def test_a_new_run_stops_what_a_killed_server_left(link):
    with serving(link.access, submit(link.access)) as grid:
        run = submit(link.access)
        with pytest.raises(RunEnded):
            grid.get_nodes()
    with serving(link.access, run) as grid:
        grid.get_nodes()


def test_one_server_at_a_time(link):
    with sole(link.access), pytest.raises(InputError, match="already runs"), sole(link.access):
        pass
    with sole(link.access):
        pass


def test_it_is_told_whether_the_run_succeeded(link):
    with pytest.raises(ZeroDivisionError), serving(link.access, submit(link.access)):
        raise ZeroDivisionError("of patient 17")
    with serving(link.access, submit(link.access)):
        pass
    with control.calling(link.access) as client:
        runs = client.ListRuns(control.ListRunsRequest()).run_dict.values()
    said = [(run.status.sub_status, run.status.details) for run in runs]
    assert ("failed", "ZeroDivisionError in the server") in said
    assert ("completed", "") in said


def test_a_port_that_is_taken_is_said(link):
    second = Link(link.folder, link.host, link.port)
    with pytest.raises(InputError, match=rf"127\.0\.0\.1:{link.port}[\s\S]*in use"), second:
        pass


def test_what_is_no_superlink_is_said(link, tmp_path):
    with other_server(link.folder) as port:
        access = link.access._replace(address=f"127.0.0.1:{port}")
        with pytest.raises(InputError, match="answers with status 404"):
            submit(access)
    with pytest.raises(InputError, match="a server that answers"):
        nodes(link.access._replace(address=f"127.0.0.1:{free_port()}"))


def test_without_its_files_it_is_not_started(tmp_path):
    folder = coordinator(tmp_path)
    for name, said in (("secret", "secret"), ("server.key", "server.key"), ("ca.crt", "ca.crt")):
        kept = (folder / name).rename(folder / "kept")
        with pytest.raises(InputError, match=said), Link(folder, "127.0.0.1", free_port()):
            pass
        kept.rename(folder / name)


def test_the_reason_why_it_does_not_start_is_shown(tmp_path):
    folder = coordinator(tmp_path)
    (folder / superlink.DATABASE).write_text("no database\n" * 999)
    with (
        pytest.raises(InputError, match=r"one that ended[\s\S]*file is not a database"),
        Link(folder, "127.0.0.1", free_port()),
    ):
        pass


def test_it_ends_with_who_started_it(tmp_path, repository):
    done = subprocess.run(
        [sys.executable, "-c", ORPHAN, coordinator(tmp_path), str(free_port())],
        env=os.environ | {"PYTHONPATH": str(repository / "workflow")},
        stdout=subprocess.PIPE,
        text=True,
    )
    process = int(done.stdout)
    for _ in range(200):
        if gone(process):
            return
        time.sleep(0.1)
    os.kill(process, signal.SIGKILL)
    pytest.fail("it went on alone")


def test_it_ends_whoever_is_in_the_middle_of_a_sentence(tmp_path):
    with Link(coordinator(tmp_path), "127.0.0.1", free_port()) as link:
        context = ssl.create_default_context(cafile=link.access.authority)
        with (
            socket.create_connection((link.host, link.port)) as plain,
            context.wrap_socket(plain, server_hostname=link.host) as connection,
        ):
            connection.sendall(b"POST /v1/fleet/activate-node HTTP/1.1\r\nHost: x\r\n")
            connection.sendall(b"Content-Type: application/protobuf\r\nContent-Length: 99\r\n\r\n")
            time.sleep(0.5)
            link.process.terminate()
            link.process.wait(SECONDS_TO_STOP)


def test_killed_and_started_again(tmp_path, caplog):
    """Sites, keys and the run survive, and sites come back by themselves."""
    folder = coordinator(tmp_path / "ours")
    with Link(folder, "127.0.0.1", free_port()) as link:
        key, access = site(tmp_path, "north", link.access), link.access
        before = nodes(access)
        run = submit(access)
        with connect(access, key) as node, answering(node), serving(access, run) as grid:
            assert values_of(exchange(grid, before[0].node, np.ones(10))).sum() == 10
            link.process.kill()
            link.process.wait()
            time.sleep(1)
            link.__enter__()
            assert [one[:2] for one in nodes(access)] == [one[:2] for one in before]
            assert values_of(exchange(grid, before[0].node, np.ones(20))).sum() == 20
    assert caplog.text.count("no connection to") == 1
    assert caplog.text.count(f"connected to {access.address} again") == 1


def test_a_site_behind_a_proxy_reaches_it(tmp_path, monkeypatch):
    """No name server knows the host, so that nothing but the proxy leads there."""
    host = "coordinator.test"
    with Link(coordinator(tmp_path, host), "127.0.0.1", free_port()) as link, proxy() as house:
        key = site(tmp_path, "north", link.access)
        away = link.access._replace(address=f"{host}:{link.port}")
        with pytest.raises(InputError, match="a server that answers"), connect(away, key):
            pass
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{house.server_address[1]}")
        run = submit(link.access)
        with (
            connect(away, key) as node,
            answering(node),
            serving(link.access, run) as grid,
        ):
            [known] = nodes(link.access)
            assert values_of(exchange(grid, known.node, np.ones(30))).sum() == 30
        assert house.asked
        assert {tuple(one) for one in house.asked} == {("CONNECT", away.address)}


def listed_while_killed(link, stop) -> None:
    """Ask a SuperLink that was killed for its sites."""
    with serving(link.access, submit(link.access)) as grid:
        grid.stop = stop
        link.process.kill()
        grid.get_nodes()


def test_while_it_is_away_a_server_waits_for_it_and_can_be_stopped(tmp_path):
    stop = threading.Event()
    with Link(coordinator(tmp_path), "127.0.0.1", free_port()) as link:
        threading.Timer(2, stop.set).start()
        with pytest.raises(SystemExit) as ended:
            listed_while_killed(link, stop)
        assert ended.value.code == STOPPED
        with pytest.raises(SystemExit):
            resubmit(link.access, stop)
        link.process.wait()
        threading.Timer(1, link.__enter__).start()
        run = resubmit(link.access, threading.Event())
        with serving(link.access, run) as grid:
            assert list(grid.get_nodes()) == []


def test_where_nobody_starts_it_again_its_end_is_an_error(tmp_path):
    with Link(coordinator(tmp_path), "127.0.0.1", free_port()) as link:
        stop = threading.Event()
        said = r"link\.log[\s\S]*end of the study[\s\S]*that ended"
        with pytest.raises(InputError, match=said), link.watched(stop):
            listed_while_killed(link, stop)


def test_a_server_of_another_authority_in_its_place_is_told_nothing(link, tmp_path):
    credentials.make_authority(tmp_path)
    credentials.make_server_certificate(tmp_path, [], 1)
    key = site(tmp_path, "west", link.access)
    with connect(link.access, key) as node, other_server(tmp_path) as port:
        node.client._base_url = f"https://127.0.0.1:{port}"  # as if it had taken the address
        with pytest.raises(InputError, match=r"did not sign[\s\S]*the server was replaced"):
            node.ask()
        with pytest.raises(InputError, match="did not sign"):
            node.beat()
        node.client._base_url = f"https://{link.access.address}"
        assert node.ask() is None


def test_without_encryption_it_is_loud_and_strict(tmp_path, caplog):
    folder = coordinator(tmp_path)
    with Link(folder, "127.0.0.1", free_port(), insecure=True) as link:
        assert "NOTHING IS ENCRYPTED" in caplog.text
        caplog.clear()
        key = site(tmp_path, "north", link.access)
        with connect(link.access, key) as node:
            assert "NOTHING IS ENCRYPTED" in caplog.text
            assert node.ask() is None
            with pytest.raises(Exception, match="412"):  # nobody registers himself
                node.client.RegisterNode(RegisterNodeFleetRequest(public_key=node.public))
        with (
            pytest.raises(InputError, match="which is not, or no longer"),
            connect(link.access, site(tmp_path, "stranger")),
        ):
            pass
        with (
            pytest.raises(InputError, match=r"a server that encrypts[\s\S]*one that does not"),
            Node(link.access.address, key, folder / "ca.crt"),
        ):
            pass


def test_a_proxy_is_not_asked_for_the_way_to_this_machine(link, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{free_port()}")
    assert isinstance(nodes(link.access), list)
