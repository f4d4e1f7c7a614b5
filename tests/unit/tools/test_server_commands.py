"""What a coordinator types: what each command does, and says of what cannot be right."""

import json
import re
from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest
import torch
import yaml

from chexviz.base.errors import InputError
from chexviz.base.tables.models import HISTORY as TABLE
from chexviz.federation.network import credentials
from chexviz.federation.network.control import Access, Site
from chexviz.federation.network.kept import NOISE, noise_secret
from chexviz.federation.network.link import Link
from chexviz.models import files
from chexviz.pipeline import loading
from chexviz.tools.server import conducting, order, orders, status, watch
from chexviz.tools.server.place import SERVER
from made_links import coordinator, free_port
from trainings import LABELLED

SITES = {name: LABELLED[name] for name in ("north", "south")}
CONFIG = {
    "run": {"sites": [*SITES], "protocols": ["paper"]},
    "sites": {
        name: {"title": name, "findings": findings, "reader": "table", "source": ["local:."]}
        for name, findings in SITES.items()
    },
}
CHOICE = {"architecture": "standard", "method": "fedavg", "protocol": "paper", "seed": 2022}
RULES = {"quorum": None, "deadline": None, "largest_step": 10.0}


@pytest.fixture
def config(tmp_path) -> dict:
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(CONFIG))
    return loading.load([tmp_path / "study.yaml"])


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """The folder of a coordinator whose server runs."""
    folder = coordinator(tmp_path_factory.mktemp("coordinator"))
    with Link(folder, "127.0.0.1", free_port()) as link:
        running = {"address": link.access.address, "insecure": False}
        (folder / SERVER).write_text(json.dumps(running))
        yield folder


def mode(path) -> str:
    return f"{path.stat().st_mode & 0o777:o}"


# --- setup ---------------------------------------------------------------------------------------


def test_setup_makes_all_that_a_server_needs_and_renews_its_certificate(tmp_path, capsys, chexviz):
    home = tmp_path / "home"
    chexviz("server", "setup", home, "--host", "hub.example.org", "10.0.0.5", "--days", "30")
    said = capsys.readouterr().out
    assert "for hub.example.org, 10.0.0.5, localhost" in said
    assert {path.name: mode(path) for path in home.iterdir()} == {
        **{"ca.crt": "644", "ca.key": "600", "server.crt": "644", "server.key": "600"},
        "secret": "600",
    }
    assert mode(home) == "700"
    credentials.check_server(home)
    before = (home / "ca.crt").read_bytes(), (home / "secret").read_bytes()
    with pytest.raises(InputError, match=r"one for hub.example.org.*valid.*\n.*sites keep"):
        chexviz("server", "setup", home, "--host", "hub.example.org")
    for name in ("server.crt", "server.key"):
        (home / name).rename(tmp_path / name)
    chexviz("server", "setup", home, "--host", "hub.example.org")
    assert ((home / "ca.crt").read_bytes(), (home / "secret").read_bytes()) == before
    credentials.check_server(home)


@pytest.mark.parametrize("host", ["https://hub.example.org", "hub.example.org:8300"])
def test_a_host_is_a_name_alone(tmp_path, host, chexviz):
    with pytest.raises(InputError, match="leave port and scheme out"):
        chexviz("server", "setup", tmp_path / "home", "--host", host)
    assert not (tmp_path / "home").exists()


# --- who may join --------------------------------------------------------------------------------


def test_a_folder_without_setup_is_named(tmp_path, chexviz):
    for words in (("start",), ("status",), ("resume",), ("run",), ("unregister", "north")):
        with pytest.raises(InputError, match=r"no such folder\n.*chexviz server setup"):
            chexviz("server", words[0], tmp_path / "none", *words[1:])
        with pytest.raises(InputError, match="no secret in it"):
            chexviz("server", words[0], tmp_path, *words[1:])


def test_a_server_that_does_not_run_is_asked_for(tmp_path, capsys, chexviz):
    home = coordinator(tmp_path)
    for words in (("resume",), ("run",), ("register", "north", "north.pub")):
        with pytest.raises(InputError, match=f"chexviz server start {home}"):
            chexviz("server", words[0], home, *words[1:])
    chexviz("server", "status", home)
    assert capsys.readouterr().out == f"no server runs: `chexviz server start {home}`\n"


def test_sites_are_registered_by_name_and_key(served, tmp_path, capsys, chexviz):
    credentials.make_site_key(tmp_path / "key")
    mark = credentials.fingerprint((tmp_path / "key.pub").read_bytes())
    chexviz("server", "register", served, "north", tmp_path / "key.pub")
    assert mark in capsys.readouterr().out.splitlines()
    chexviz("server", "status", served)
    assert f"\n  north: not connected, never seen, key {mark}\n" in capsys.readouterr().out
    with pytest.raises(InputError, match="unregister that one first"):
        chexviz("server", "register", served, "north", tmp_path / "key.pub")
    chexviz("server", "unregister", served, "north")
    assert capsys.readouterr().out == "north may join no longer\n"
    with pytest.raises(InputError, match="no site of this name"):
        chexviz("server", "unregister", served, "north")


def test_what_is_registered_is_looked_at(served, tmp_path, chexviz):
    credentials.make_site_key(tmp_path / "key")
    with pytest.raises(InputError, match="the folder, the name and the file of the key, in this"):
        chexviz("server", "register", served, tmp_path / "key.pub", "north")
    for name in ("North", "shared", "st-mary", ""):
        with pytest.raises(InputError, match="small letters and digits"):
            chexviz("server", "register", served, name, tmp_path / "key.pub")
    with pytest.raises(InputError, match="a private key, which should never have left its site"):
        chexviz("server", "register", served, "north", tmp_path / "key")
    (tmp_path / "text.pub").write_text("hello")
    with pytest.raises(InputError, match="one line, ecdsa-sha2-nistp384"):
        chexviz("server", "register", served, "north", tmp_path / "text.pub")
    with pytest.raises(InputError, match="no such file"):
        chexviz("server", "register", served, "north", tmp_path / "none.pub")


def test_one_server_at_a_time_has_a_folder(served, tmp_path, chexviz):
    with pytest.raises(InputError, match=r"something that answers at 127\.0\.0\.1"):
        chexviz("server", "start", served, "--port", free_port())
    gone = {"address": f"127.0.0.1:{free_port()}", "insecure": False}
    (tmp_path / SERVER).write_text(json.dumps(gone))
    watch.check_alone(tmp_path / SERVER)


# --- what the server says ------------------------------------------------------------------------


def site(name: str, online: bool, seen=None) -> Site:
    return Site(name, f"SHA256:{name}", online, seen, 1)


def test_who_comes_and_goes_is_a_line_each():
    seen = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    before = {"north": site("north", True), "west": site("west", False)}
    now = {"north": site("north", False, seen), "south": site("south", True)}
    assert watch.changes(before, now) == [
        f"site north is gone, last seen at {seen.astimezone():%H:%M:%S}",
        "site south is registered, key SHA256:south",
        "site south is connected",
        "site west is registered no longer",
    ]
    assert watch.changes(now, now) == []


def test_who_is_refused_is_said_once_a_minute_by_name(served, caplog):
    log = served / "link.log"
    watched = watch.Watch(None, log)
    watched.sites = {"north": site("north", False)}
    with log.open("a") as file:
        for key in ("SHA256:north", "SHA256:north", "SHA256:other"):
            line = f"refused key {key} from 10.0.0.7: nobody registered it"
            file.write(f"2026-01-02T03:04:05.678Z WARNING [uvicorn.error] {line}\n")
        file.write("2026-01-02T03:04:05.678Z INFO [uvicorn.access] 10.0.0.7 - 200\n")
        file.write("2026-01-02T03:04:05.678Z WARNING [uvicorn.error] half a li")
    watched.tail()
    assert caplog.messages == [
        "refused key SHA256:north (site north) from 10.0.0.7: nobody registered it",
        "refused key SHA256:other from 10.0.0.7: nobody registered it",
    ]
    with log.open("a") as file:
        file.write("ne\n")
    watched.tail()
    assert caplog.messages[2:] == ["half a line"]


def test_a_certificate_that_ends_soon_is_said(tmp_path, caplog):
    caplog.set_level("INFO")
    watch.greet(coordinator(tmp_path), "0.0.0.0", 8300, False)
    assert caplog.messages[0] == "listening at 0.0.0.0, port 8300"
    assert re.search(r"the certificate ends in [01] days: renew it", caplog.messages[-1])
    caplog.clear()
    watch.greet(tmp_path, "127.0.0.1", 8300, True)
    assert caplog.messages == ["listening at 127.0.0.1, port 8300"]


# --- a study -------------------------------------------------------------------------------------


def test_an_order_is_the_workflows_training(config):
    made = orders.order(config, CHOICE, RULES)
    assert made.name == "paper_standard_fedavg_seed2022"
    assert made.study["findings"] == SITES
    assert (
        made.study["settings"]["rounds"]
        == config["architectures"]["standard"]["federated"]["rounds"]
    )
    assert made.study["warmup"] is None
    warmed = orders.order(config, CHOICE | {"architecture": "densenet121"}, RULES)
    assert warmed.study["warmup"]["epochs"] == 30


def test_one_of_each_list_is_chosen(config):
    assert orders.chosen(config, "methods", None) == "fedavg"
    assert orders.chosen(config, "seeds", "2022") == 2022
    with pytest.raises(InputError, match=r"run: architectures\n.*\n.*standard, densenet121"):
        orders.chosen(config, "architectures", None)
    with pytest.raises(InputError, match=r"fedprox among them\n.*fedavg"):
        orders.chosen(config, "methods", "fedprox")


@pytest.mark.parametrize(
    ("change", "rules", "said"),
    [
        ({"method": "ensemble"}, {}, "the baselines of all sites together"),
        ({"method": "pooled"}, {}, "one that needs all images in one place"),
        ({}, {"quorum": 3}, "at most 2, the sites of the study: north, south"),
    ],
)
def test_what_cannot_go_over_a_network_is_refused(config, change, rules, said):
    with pytest.raises(InputError, match=said):
        orders.order(config, CHOICE | change, RULES | rules)


def test_a_study_is_begun_once_and_kept_from_others(config, tmp_path):
    home = tmp_path / "home"
    made = orders.order(config, CHOICE, RULES)
    begun = orders.begun(home, config, made)
    assert begun.folder == home / "studies" / "paper_standard_fedavg_seed2022"
    block = files.load(begun.path(order.START))[0]
    assert orders.begun(home, config, made).order == made
    assert order.unfinished(home, None).order == made
    config["architectures"]["standard"]["federated"]["rounds"] = 7
    other = orders.order(config, CHOICE, RULES | {"deadline": 60})
    with pytest.raises(InputError, match="differs in study: settings: rounds, rules: deadline"):
        orders.begun(home, config, other)
    assert files.load(begun.path(order.START))[0].keys() == block.keys()
    second = orders.begun(home, config, orders.order(config, CHOICE | {"seed": 1}, RULES))
    with pytest.raises(InputError, match=r"seed1.*\n.*name one of them: `--study`"):
        order.unfinished(home, None)
    assert order.unfinished(home, second.folder.name).folder == second.folder
    with pytest.raises(InputError, match="a study none"):
        order.unfinished(home, "none")
    begun.path(order.BLOCK).touch()
    assert order.unfinished(home, None).folder == second.folder
    for again in (
        lambda: orders.begun(home, config, made),
        lambda: order.unfinished(home, begun.folder.name),
    ):
        with pytest.raises(InputError, match=r"one that is: representation\.safetensors is there"):
            again()


def test_resume_without_a_study_says_so(served, chexviz):
    with pytest.raises(InputError, match=r"none\n.*chexviz server run"):
        chexviz("server", "resume", served)


def test_other_code_does_not_go_on_with_a_study(config, tmp_path):
    made = orders.order(config, CHOICE, RULES)
    changed = order.Order(method="fedavg", study=made.study, rules=RULES, app="0" * 64)
    with pytest.raises(InputError, match="one of the app 0000"):
        conducting.check_code(order.Ordered(tmp_path, changed))


@pytest.mark.parametrize("unit", ["patient", "site"])
def test_noise_of_the_server_is_drawn_from_what_the_coordinator_alone_has(
    config, tmp_path, monkeypatch, unit
):
    """Sites know the seed of a study; where they add the noise themselves, none is made here."""
    privacy = {"epsilon": 3.0, "delta": 1e-3, "clip": 1.0, "unit": unit}
    config["methods"]["fedavg"] |= {"batchnorm": "frozen", "heads": "shared", "weights": "uniform"}
    config["methods"]["fedavg"]["privacy"] = privacy
    begun = orders.begun(tmp_path, config, orders.order(config, CHOICE, RULES))
    files.save(begun.path(order.START), {"x": torch.zeros(1)})
    seen = []

    def conduct(access, study, rules, block, kept, stop, secret):
        seen.append(secret)
        raise InputError("stop", expected="-", found="-", fix="-")

    monkeypatch.setattr(conducting, "conduct", conduct)
    for _ in range(2):
        with pytest.raises(InputError, match="stop"):
            conducting.conducted(Access.of(tmp_path, "localhost:1"), begun)
    if unit == "patient":
        assert seen == [None] * 2
        assert not (tmp_path / NOISE).exists()
    else:
        assert seen == [noise_secret(tmp_path)] * 2
        assert seen[0].bit_length() > 200
        assert mode(tmp_path / NOISE) == "600"


def test_status_says_how_far_a_study_is_and_who_is_missing(config, tmp_path, capsys):
    begun = orders.begun(tmp_path, config, orders.order(config, CHOICE, RULES))
    rows = [
        {"round": number, "site": name, "learning_rate": 0.1, "loss": loss, "images": 9}
        for number in (1, 2)
        for name, loss in (("north", 0.51234), ("south", 0.25))
    ]
    told = pd.DataFrame(rows).assign(drift=0.1, sent=8, epsilon=None)
    TABLE.write(told, begun.path(order.HISTORY))
    lines = status.study_lines(begun, [site("north", True)])
    assert lines == [
        "study paper_standard_fedavg_seed2022: round 2 of 300 is over",
        "  losses of round 2: north 0.5123, south 0.25",
        "  not connected: south (not registered)",
    ]
    private = pd.DataFrame(rows).assign(loss=None, drift=0.1, sent=8, epsilon=1.25)
    TABLE.write(private, begun.path(order.HISTORY))
    private_lines = status.study_lines(begun, [site("north", True)])
    assert private_lines[1] == "  epsilon of round 2: north 1.25, south 1.25"
    begun.path(order.BLOCK).touch()
    assert status.study_lines(begun, [])[0].endswith("seed2022: over")
    now = datetime.now(UTC)
    seen = site("north", False, now - timedelta(seconds=125))
    assert status.site_line(seen, now) == (
        "north: not connected, seen 2 min 05 s ago, key SHA256:north"
    )


def test_a_round_is_one_line_with_what_each_sent_and_who_is_missing():
    rows = {"north": {"loss": 0.51234, "sent": 28_000_000}}
    assert conducting.round_line(3, 9, rows, 61.2, ["north", "south"]) == (
        "round 3 of 9 is over: 1 min 01 s, north loss 0.5123 (28.0 MB); without south"
    )
    private = {"north": {"loss": None, "epsilon": 1.2345, "sent": 28_000_000}}
    assert conducting.round_line(3, 9, private, 61.2, ["north"]) == (
        "round 3 of 9 is over: 1 min 01 s, north epsilon 1.234 (28.0 MB)"
    )


# --- results that sites tell ---------------------------------------------------------------------


def metrics(site: str) -> str:
    """A metrics.csv of one row."""
    from chexviz.base.tables.evaluation import MODEL_METRICS

    row = dict.fromkeys(MODEL_METRICS.names, 0.5) | {
        **{"site": site, "finding": "pneumonia", "head": site, "architecture": "standard"},
        **{"method": "fedavg", "seed": 1, "images": 20, "patients": 20, "positives": 5, "note": ""},
    }
    return pd.DataFrame([row])[MODEL_METRICS.names].to_csv(index=False)


def test_odd_tables_of_one_site_do_not_spoil_the_others(tmp_path, caplog):
    tables = {
        "north": {"metrics.csv": metrics("north")},
        "south": {"../../metrics.csv": "x"},
        "west": {"metrics.csv": metrics("north")},
        "east": {"metrics.csv": "x\n1\n"},
    }
    conducting.share(tables, tmp_path / "share", tmp_path)
    assert [path.name for path in (tmp_path / "share").iterdir()] == ["north"]
    assert [*pd.read_csv(tmp_path / "metrics.csv")["site"]] == ["north"]
    assert len(caplog.messages) == 3
    for name, message in zip(("south", "west", "east"), caplog.messages, strict=True):
        assert f"what site {name} tells of its results is not used" in message


def test_nothing_is_joined_where_nobody_tells(tmp_path):
    conducting.share({}, tmp_path / "share", tmp_path)
    assert not [*tmp_path.iterdir()]
