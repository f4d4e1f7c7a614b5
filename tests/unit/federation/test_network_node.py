"""A site's side: whom it trusts, what it answers, and what it says where it does neither."""

import logging
import threading
from datetime import UTC, datetime, timedelta

import httpx
import numpy as np
import pytest
from flwr.app import Error, Metadata, RecordDict
from flwr.app.message import make_message
from flwr.common.constant import ErrorCode
from flwr.proto.control_pb2 import StopRunRequest
from flwr.proto.message_pb2 import ObjectTree, PullObjectRequest
from flwr.supercore.inflatable.inflatable_object import get_all_nested_objects, get_object_tree

from chexviz.base.errors import InputError
from chexviz.federation.network import (
    bundle,
    connection,
    content,
    control,
    credentials,
    node,
    refusals,
)
from chexviz.federation.network.control import nodes, submit, unregister
from chexviz.federation.network.link import LOG_FILE, Link
from chexviz.federation.network.node import Lost, Node, NotRunning, Told
from chexviz.federation.network.task import serving
from made_links import (
    answering,
    connect,
    coordinator,
    die,
    echo,
    exchange,
    free_port,
    lapse,
    letter,
    other_server,
    site,
    values_of,
)

CHUNKS = np.random.default_rng(0).random(3_000_000, np.float32)  # 12 MB: Flower sends it as three


@pytest.fixture(scope="module")
def link(tmp_path_factory):
    folder = coordinator(tmp_path_factory.mktemp("coordinator"))
    with Link(folder, "127.0.0.1", free_port()) as started:
        yield started


@pytest.fixture(scope="module")
def access(link):
    return link.access


@pytest.fixture(scope="module")
def keys(tmp_path_factory, access):
    """The keys of two registered sites."""
    folder = tmp_path_factory.mktemp("keys")
    return {name: site(folder, name, access) for name in ("north", "south")}


@pytest.fixture
def grid(access):
    with serving(access, submit(access)) as grid:
        yield grid


def refused(access, key, said: str, **changed) -> None:
    """A site that cannot join, and is told why."""
    with pytest.raises(InputError, match=said), connect(access._replace(**changed), key):
        pytest.fail("it was let in")


def numbers(access):
    return {one.name: one.node for one in nodes(access)}


def log_of(link):
    return (link.folder / LOG_FILE).read_text()


# What a site answers, and what not.


def test_an_array_goes_there_and_back(access, keys, grid):
    with connect(access, keys["north"]) as north, answering(north):
        for values in (CHUNKS, CHUNKS[:1], CHUNKS[:0]):
            reply = exchange(grid, numbers(access)["north"], values)
            assert (values_of(reply) == values).all()
            assert reply.metadata.src_node_id == numbers(access)["north"]


def test_receive_gives_whole_messages_or_none(access, keys, grid):
    with connect(access, keys["north"]) as north:
        assert north.receive() is None
        [identifier] = grid.push_messages([letter(numbers(access)["north"], CHUNKS)])
        message = north.receive()
        assert (values_of(message) == CHUNKS).all()
        assert north.app_of(message.metadata.run_id) == bundle.sha256()
        north.reply(echo(message))
        assert (values_of(grid.pull_messages([identifier])[0]) == CHUNKS).all()


def test_of_messages_that_wait_the_newest_is_answered(access, keys, grid, caplog):
    with connect(access, keys["north"]) as north:
        node = numbers(access)["north"]
        old, new = grid.push_messages([letter(node, CHUNKS[:9]), letter(node, CHUNKS[9:12])])
        waiting = north.newest()
        assert waiting.message.metadata.message_id == new
        north.reply(echo(north.open(waiting)))
        [reply] = grid.pull_messages([old, new])
    assert (values_of(reply) == CHUNKS[9:12]).all()
    assert caplog.text.count("a message was overtaken by a newer one") == 1


def test_a_run_of_an_app_that_nobody_approved_gets_no_answer(
    access, keys, grid, monkeypatch, caplog
):
    """Nothing of its messages is even fetched, and both ends say why."""
    monkeypatch.setattr(Node, "open", lambda *_: pytest.fail("it was opened"))
    with (
        connect(access, keys["north"]) as north,
        answering(north, pytest.fail, approved="f" * 64),
    ):
        reply = exchange(grid, numbers(access)["north"], CHUNKS[:9])
    assert reply.has_error()
    assert reply.error.reason == f"this site approved the app {'f' * 64}, not {bundle.sha256()}"
    assert "refused run" in caplog.text
    assert bundle.sha256() in caplog.text


def test_an_app_that_is_not_what_the_server_announces_is_not_answered(
    access, keys, grid, monkeypatch
):
    grid.push_messages([letter(numbers(access)["north"], CHUNKS[:9])])
    with connect(access, keys["north"]) as north:
        run = north.ask().message.metadata.run_id
        get = north.client.GetFab

        def another(request):
            answer = get(request)
            answer.fab.content += b" "
            return answer

        monkeypatch.setattr(north.client, "GetFab", another)
        with pytest.raises(InputError, match=f"the app {bundle.sha256()}[\\s\\S]*do not trust"):
            north.app_of(run)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (InputError("/data/p17.dcm", expected="a", found="b", fix="c"), "InputError"),
        (Told("round 3", expected="a block", found="none", fix="send it"), "a block"),
        (KeyError("patient 17"), "KeyError"),
        (MemoryError(), "MemoryError"),
    ],
)
def test_of_errors_the_server_learns_what_it_may(access, keys, grid, caplog, error, said):
    def fail(_):
        raise error

    with connect(access, keys["north"]) as north, answering(north, fail):
        reply = exchange(grid, numbers(access)["north"], CHUNKS[:9])
    assert said in reply.error.reason
    assert "17" not in reply.error.reason
    assert str(error) in caplog.text


def test_a_message_of_a_run_that_is_over_is_dropped(access, keys, caplog):
    with serving(access, submit(access)) as grid, connect(access, keys["north"]) as north:
        grid.push_messages([letter(numbers(access)["north"], CHUNKS[:9])])
        envelope = north.ask()
        with control.calling(access) as client:
            client.StopRun(StopRunRequest(run_id=envelope.message.metadata.run_id))
        for attempt in (
            lambda: north.open(envelope),
            lambda: north.app_of(envelope.message.metadata.run_id),
            lambda: north.reply(echo(envelope.message)),
        ):
            with pytest.raises(NotRunning):
                attempt()
        stop = threading.Event()
        waiting = [envelope]
        north.ask = lambda: waiting.pop() if waiting else stop.set()
        node.serve(north, pytest.fail, bundle.sha256(), stop)
    assert "a run that is over" in caplog.text


def test_a_site_that_dies_while_it_sends_holds_nobody_up(access, keys, grid, monkeypatch):
    with connect(access, keys["north"]) as north, connect(access, keys["south"]) as south:
        numbered = numbers(access)
        letters = [letter(numbered[name], CHUNKS) for name in ("north", "south")]
        first, second = grid.push_messages(letters)
        with monkeypatch.context() as patch:
            patch.setattr(node, "push_objects", lambda *_, **__: None)
            north.reply(echo(north.receive()))
        message = south.receive()
        south.reply(echo(message))
        [reply] = grid.pull_messages([first, second])
        assert reply.metadata.reply_to_message_id == second
        assert (values_of(reply) == CHUNKS).all()
        assert grid.pull_messages([first]) == []
        assert list(grid.arriving) == [first]


def test_what_a_dead_site_has_not_fetched_is_not_kept(link, access, keys, grid):
    north = connect(access, keys["north"]).__enter__()
    with connect(access, keys["south"]) as south:
        [identifier] = grid.push_messages([letter(numbers(access)["north"], CHUNKS)])
        die(north)
        lapse(link.folder)
        [reply] = grid.pull_messages([identifier])
        assert "Unavailable" in reply.error.reason
        request = PullObjectRequest(
            node=south.number, run_id=reply.metadata.run_id, object_id=identifier
        )
        assert not south.client.PullObject(request).object_found


def test_a_message_that_the_superlink_has_lost_is_said_to_be(access, keys, grid):
    with connect(access, keys["north"]) as north:
        [identifier] = grid.push_messages([letter(numbers(access)["north"], CHUNKS)])
        envelope = north.ask()
        grid.confirm(identifier)  # as if it had been killed, which keeps contents in memory
        assert north.open(envelope) is None
        [reply] = grid.pull_messages([identifier])
    assert reply.error.code == ErrorCode.MESSAGE_UNAVAILABLE


def test_contents_are_not_on_the_disk_of_the_superlink(link, access, keys, grid):
    with connect(access, keys["north"]):
        grid.push_messages([letter(numbers(access)["north"], CHUNKS)])
        kept = b"".join(path.read_bytes() for path in link.folder.rglob("*") if path.is_file())
    assert CHUNKS[1000:1010].tobytes() not in kept


def test_an_answer_that_was_interrupted_is_sent_again(access, keys, grid, monkeypatch, caplog):
    with connect(access, keys["north"]) as north:
        [identifier] = grid.push_messages([letter(numbers(access)["north"], CHUNKS)])
        message = north.receive()
        push, pushed = north.client.PushObject, []

        def once_lost(request):
            """The server has it, and its answer never came."""
            answer = push(request)
            pushed.append(request)
            if len(pushed) == 2:
                raise httpx.ReadTimeout("lost")
            return answer

        monkeypatch.setattr(north.client, "PushObject", once_lost)
        monkeypatch.setattr(node, "RETRY", (0.05, 0.05))
        north.reply(echo(message))
        [reply] = grid.pull_messages([identifier])
    assert (values_of(reply) == CHUNKS).all()
    assert "sent once more" in caplog.text


def test_a_message_whose_sending_was_interrupted_is_sent_again(access, keys, grid, caplog):
    client = grid._runtime_client
    push, pushed = client.PushObject, []

    def twice(request):
        """As Flower does if the first answer is lost; the second one says no."""
        answer = push(request)
        pushed.append(request)
        return push(request) if len(pushed) == 2 else answer

    client.PushObject = twice
    with connect(access, keys["north"]) as north, answering(north):
        reply = exchange(grid, numbers(access)["north"], CHUNKS)
    assert (values_of(reply) == CHUNKS).all()
    assert "sent once more" in caplog.text


def test_who_sent_a_message_is_what_the_superlink_knows():
    """And whatever else a stranger writes into it is an error of his own."""
    announced = make_message(metadata_of("me"), content=RecordDict())
    forged = make_message(metadata_of("somebody else"), content=RecordDict())
    tree, parts = get_object_tree(forged), get_all_nested_objects(forged)
    contents = {one: part.deflate() for one, part in parts.items()}
    opened = content.opened(announced, tree, dict(contents))
    assert opened.metadata.reply_to_message_id == "me"
    assert opened.has_content()
    spoiled = [
        {},
        dict.fromkeys(contents, b""),
        {one: part[:-1] for one, part in contents.items()},
        {one: part.replace(b"RecordDict", b"ConfigRecord") for one, part in contents.items()},
        {one: part.replace(b"Message", b"ArrayRecord") for one, part in contents.items()},
    ]
    for parts in spoiled:
        reply = content.opened(announced, ObjectTree(object_id=tree.object_id), parts)
        assert reply.has_error()
        assert reply.metadata.reply_to_message_id == "me"
        assert "cannot be read" in reply.error.reason
    error = make_message(metadata_of("me"), error=Error(7, "no"))
    parts = {one: part.deflate() for one, part in get_all_nested_objects(error).items()}
    assert content.opened(announced, get_object_tree(error), parts).error.reason == "no"


def metadata_of(replied: str) -> Metadata:
    return Metadata(1, "", 5, 1, replied, "", datetime.now(UTC).timestamp(), 60, "train")


# Who is let in, and to whom.


def test_a_key_that_nobody_registered(link, access, tmp_path):
    key = site(tmp_path, "stranger")
    refused(access, key, r"stranger[\s\S]*SHA256:\S+, which is not[\s\S]*stranger\.pub")
    mark = credentials.fingerprint(credentials.read_public(credentials.public_path(key)))
    assert f"refused key {mark} from 127.0.0.1: nobody registered it" in log_of(link)


def test_a_key_that_is_no_longer_registered(access, tmp_path):
    key = site(tmp_path, "east", access)
    with connect(access, key) as east:
        assert east.ask() is None
        unregister(access, "east")
        for call in (east.ask, east.beat):
            with pytest.raises(InputError, match="which is not, or no longer"):
                call()


def test_two_with_one_key(link, access, keys, monkeypatch, caplog):
    monkeypatch.setattr(node, "SECONDS_TO_LET_GO", 0.5)
    with connect(access, keys["north"]) as first:
        refused(access, keys["north"], r"no other connection[\s\S]*stop the other process")
        assert first.ask() is None
    assert caplog.text.count("waiting up to") == 1
    assert "the last connection with it has not ended" in log_of(link)


def test_killed_and_started_again(link, access, keys, monkeypatch, caplog):
    """The SuperLink forgets it after a while, and it says that it waits for that."""
    die(connect(access, keys["north"]).__enter__())
    monkeypatch.setattr(Node, "pause", lambda *_: lapse(link.folder))
    with connect(access, keys["north"]) as second:
        assert second.ask() is None
    assert caplog.text.count("still has a connection with this key; waiting up to 25 s") == 1


def test_a_connection_that_was_lost_for_long_is_joined_anew(link, access, keys, caplog):
    """So that of two processes with one key, one gets the messages."""
    with connect(access, keys["north"]) as first:
        lapse(link.folder)
        first.beaten -= 2 * node.LAPSE  # nothing was heard of it
        with connect(access, keys["north"]) as second:
            with pytest.raises(Lost, match="still has a connection"):
                first.beat()
            assert second.ask() is None
        first.beat()
        assert first.ask() is None


def test_the_wrong_authority(access, keys, tmp_path):
    credentials.make_authority(tmp_path)
    said = r"whose certificate \(ca\.crt\) was given[\s\S]*did not sign[\s\S]*nothing was sent"
    refused(access, keys["north"], said, authority=tmp_path / "ca.crt")


def test_a_certificate_that_expired(keys, tmp_path):
    now, day = datetime.now(UTC), timedelta(days=1)
    credentials.make_authority(tmp_path)
    credentials.make_secret(tmp_path / "secret")
    credentials.certify(tmp_path, [], now - 9 * day, now - day)
    access = control.Access("", tmp_path / "ca.crt", tmp_path / "secret")
    with other_server(tmp_path) as port:
        said = rf"valid now[\s\S]*from {now - 9 * day:%Y-%m-%d} .* to {now - day:%Y-%m-%d}"
        refused(access, keys["north"], said, address=f"127.0.0.1:{port}")
    with pytest.raises(InputError, match="valid now"), Link(tmp_path, "127.0.0.1", port):
        pass


def test_a_certificate_of_another_host(keys, tmp_path, monkeypatch):
    monkeypatch.setattr(credentials, "OWN", ("other.example", "192.0.2.1"))
    coordinator(tmp_path)
    access = control.Access("", tmp_path / "ca.crt", tmp_path / "secret")
    with other_server(tmp_path) as port:
        for host in ("127.0.0.1", "localhost"):
            said = r"for this address[\s\S]*one for other\.example, 192\.0\.2\.1"
            refused(access, keys["north"], said, address=f"{host}:{port}")


def test_encryption_at_one_end_alone(access, keys):
    said = r"without encryption, since --insecure[\s\S]*one that encrypts"
    refused(access, keys["north"], said, insecure=True, authority=None)
    with other_server(None) as port:
        said = r"a server that encrypts[\s\S]*one that does not"
        refused(access, keys["north"], said, address=f"127.0.0.1:{port}")
    refused(access, keys["north"], r"neither", authority=None)
    refused(access, keys["north"], r"both", insecure=True)


def test_a_key_that_others_can_read(access, keys, tmp_path):
    key = tmp_path / "open"
    key.write_bytes(keys["north"].read_bytes())
    key.chmod(0o644)
    refused(access, key, "owner alone")


def test_another_version_of_flower(access, keys, monkeypatch):
    monkeypatch.setattr(connection, "FLOWER", "1.43.0")
    refused(access, keys["north"], r"a SuperLink of Flower 1\.43\.0[\s\S]*Flower 1\.42\.0")


def test_a_clock_that_is_wrong(access, keys, monkeypatch):
    class Late(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.now(tz) + timedelta(hours=1)

    monkeypatch.setattr("flwr.supernode.node_auth_http_interceptor.now", lambda: Late.now(UTC))
    monkeypatch.setattr(refusals, "datetime", Late)
    refused(access, keys["north"], r"clocks that differ[\s\S]*3[56]\d\d s ahead[\s\S]*NTP")


def test_no_server_at_all(access, keys):
    address = f"127.0.0.1:{free_port()}"
    refused(access, keys["north"], rf"{address}[\s\S]*refused[\s\S]*firewalls", address=address)
    refused(access, keys["north"], "host and port", address="http://127.0.0.1")
    refused(access, keys["north"], "a server that answers", address="nowhere.invalid:8300")


def test_what_is_no_superlink(access, keys, link):
    with other_server(link.folder) as port:
        refused(access, keys["north"], "answers with status 404", address=f"127.0.0.1:{port}")


def test_faults_of_the_server_are_waited_for_and_told_once(access, keys, monkeypatch, caplog):
    monkeypatch.setattr(node, "RETRY", (0.01, 0.01))
    with connect(access, keys["north"]) as north:
        pull, failures = north.client.PullMessages, [httpx.ConnectError("no route")] * 3

        def failing(request):
            if failures:
                raise failures.pop()
            return pull(request)

        monkeypatch.setattr(north.client, "PullMessages", failing)
        assert north.ask() is None
    said = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert [text.split(",")[0] for text in said] == [
        f"no connection to {access.address}",
        f"connected to {access.address} again",
    ]


def test_a_message_that_was_lost_on_its_way_makes_the_site_join_anew(
    access, keys, grid, monkeypatch
):
    """By which the server, which else would wait for ever, sees that it has to ask again."""
    monkeypatch.setattr(node, "RETRY", (0.01, 0.01))
    with connect(access, keys["north"]) as north:
        pull, lost = north.client.PullMessages, []

        def losing(request):
            answer = pull(request)
            if answer.messages_list and not lost:
                lost.append(answer)
                raise httpx.ReadError("cut")
            return answer

        monkeypatch.setattr(north.client, "PullMessages", losing)
        [before] = grid.get_nodes()
        grid.push_messages([letter(before.node_id, CHUNKS[:9])])
        assert north.ask() is None
        [after] = grid.get_nodes()
        assert lost
        assert after.last_activated_at > before.last_activated_at
        assert after.node_id == before.node_id


def test_a_stop_ends_the_wait_for_a_server(access, keys, monkeypatch):
    with connect(access, keys["north"]) as north:
        stop = threading.Event()
        monkeypatch.setattr(
            north.client,
            "PullMessages",
            lambda _: stop.set() or httpx.Client().get("http://[::1]:1"),
        )
        node.serve(north, pytest.fail, bundle.sha256(), stop)
