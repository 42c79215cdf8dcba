"""Where the link of a video may lead, and what counts as a video that has arrived."""

from __future__ import annotations

import ipaddress
import socket

import pytest
from drivers import save
from hostile import HostileKling, body, box, endless, half, mp4, redirect, status

from airflow_provider_kling import errors
from airflow_provider_kling.client import addresses

MODES = pytest.mark.parametrize("mode", ["sync", "async"])


@pytest.fixture
def account():
    with HostileKling() as server:
        yield server


@pytest.fixture
def intranet():
    """Another server of this network, that nobody may be led to."""
    with HostileKling() as server:
        yield server


def links_to(server):
    """The server's URL in ways of writing that lead to it."""
    port = server.url.rpartition(":")[2]
    hosts = [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f.1",
        "localhost",
        "LOCALHOST.",
        "a.localhost",
        "[::ffff:127.0.0.1]",
        "0.0.0.0",
    ]
    return [f"http://{host}:{port}/video/1" for host in hosts]


@MODES
def test_a_link_into_the_network_is_refused(account, intranet, mode, tmp_path):
    for link in links_to(intranet):
        with pytest.raises(errors.KlingDownloadError, match="not a public address"):
            save(mode, account.connection(), link, tmp_path)
        account.answer("video", redirect(link), times=1)
        with pytest.raises(errors.KlingDownloadError, match="not a public address"):
            save(mode, account.connection(), f"{account.url}/video/1", tmp_path)
    assert intranet.requests == []
    assert list(tmp_path.iterdir()) == []


@MODES
def test_a_name_is_judged_by_the_address_that_it_leads_to(account, intranet, mode, tmp_path):
    name = socket.gethostname()
    try:
        if all(addresses.is_public(entry[4][0]) for entry in socket.getaddrinfo(name, None)) or name == "localhost":
            pytest.skip("the name of this machine leads to a public address")
    except OSError:
        pytest.skip("the name of this machine leads to no address")
    with pytest.raises(errors.KlingDownloadError, match="not a public address"):
        save(mode, account.connection(), f"http://{name}:{intranet.url.rpartition(':')[2]}/video/1", tmp_path)
    assert intranet.requests == []


@MODES
@pytest.mark.parametrize(
    "target", ["file:///etc/passwd", "ftp://example.com/v.mp4", "gopher://x/", "//", "http://[", "javascript:1"]
)
def test_only_http_is_followed(account, mode, target, tmp_path):
    account.answer("video", redirect(target))
    with pytest.raises(errors.KlingDownloadError):
        save(mode, account.connection(), f"{account.url}/video/1", tmp_path)
    assert list(tmp_path.iterdir()) == []


@MODES
def test_a_connection_may_allow_private_links(account, intranet, mode, tmp_path):
    account.answer("video", redirect(f"{intranet.url}/video/1"))
    path = save(mode, account.connection(allow_private_links=True), f"{account.url}/video/1", tmp_path)
    with open(path, "rb") as file:
        assert file.read() == mp4()


@MODES
@pytest.mark.parametrize("number", [301, 302, 303, 307, 308])
def test_a_redirect_within_the_accounts_own_origin_is_followed(account, mode, number, tmp_path):
    account.answer("video", redirect("/video/2", number), times=5)
    assert save(mode, account.connection(), f"{account.url}/video/1", tmp_path).endswith("1.mp4")


@MODES
def test_redirects_have_an_end(account, mode, tmp_path):
    account.answer("video", redirect("/video/1"))
    with pytest.raises(errors.KlingDownloadError, match="more than 5 times"):
        save(mode, account.connection(), f"{account.url}/video/1", tmp_path, seconds=10.0)


@MODES
def test_behind_a_proxy_the_link_itself_is_judged(account, intranet, mode, tmp_path):
    through_proxy = account.connection(proxies=account.url).replace(account.url, "http://kling.invalid", 1)
    assert save(mode, through_proxy, "http://videos.invalid/video/1", tmp_path)
    (tmp_path / "1.mp4").unlink()
    for link in links_to(intranet):
        with pytest.raises(errors.KlingDownloadError, match="not a public address"):
            save(mode, through_proxy, link, tmp_path)
    assert intranet.requests == []


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1"),
        *("255.255.255.255", "240.0.0.1", "::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "ff02::1", "::ffff:10.0.0.1"),
        *("64:ff9b::a9fe:a9fe", "2002:7f00:1::", "fec0::1", "2001:0:a00:1::1"),
    ],
)
def test_addresses_that_are_not_public(address):
    assert not addresses.is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::"])
def test_addresses_that_are_public(address):
    assert addresses.is_public(address)
    assert ipaddress.ip_address(address)


# --- What counts as a video


@MODES
@pytest.mark.parametrize("kind", ["video/mp4", "text/plain", "application/json", "text/html", "binary/octet-stream"])
def test_a_whole_mp4_is_a_video_whatever_its_type_says(account, mode, kind, tmp_path):
    account.video_type = kind
    assert save(mode, account.connection(), f"{account.url}/video/1", tmp_path)


@MODES
@pytest.mark.parametrize(
    "answer",
    [
        body(b"\xef\xbb\xbf<html>login please</html>"),
        body(b"Access denied: link expired, ask again"),
        body(b"\x1f\x8b" + bytes(100)),
        body(mp4()[:-1]),
        body(mp4() + b"\n"),
        body(box(b"ftyp", b"mp42") + box(b"mdat", bytes(100))),
        body(box(b"moov") + box(b"ftyp", b"mp42")),
        half,
        endless(b"<html>", start=b"<html>"),
        status(204, None),
    ],
    ids=["bom", "denied", "packed", "shorter", "longer", "no moov", "no ftyp", "half", "endless page", "no content"],
)
def test_what_is_no_whole_mp4_is_not_saved(account, mode, answer, tmp_path):
    account.video = mp4(200_000)
    account.answer("video", answer)
    with pytest.raises(errors.KlingDownloadError):
        save(mode, account.connection(timeout=5), f"{account.url}/video/1", tmp_path, seconds=5.0)
    assert list(tmp_path.iterdir()) == []


@MODES
@pytest.mark.parametrize("before", [b"", b"<html>Access denied</html>", mp4()[:-100]], ids=["empty", "page", "half"])
def test_a_file_that_is_no_whole_video_is_replaced(account, mode, before, tmp_path):
    (tmp_path / "1.mp4").write_bytes(before)
    save(mode, account.connection(), f"{account.url}/video/1", tmp_path)
    assert (tmp_path / "1.mp4").read_bytes() == mp4()


@MODES
def test_a_folder_of_that_name_is_no_saved_video(account, mode, tmp_path):
    (tmp_path / "1.mp4" / "inside").mkdir(parents=True)
    with pytest.raises(errors.KlingStorageError, match=r"1\.mp4 could not be written"):
        save(mode, account.connection(), f"{account.url}/video/1", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["1.mp4"]
