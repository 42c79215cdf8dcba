"""API keys, and tokens signed with a secret key by a JWT library of the test's own."""

from __future__ import annotations

import time
from email.utils import parsedate_to_datetime

import jwt
import pytest

from airflow_provider_kling.emulator.model import Guard, Settings, guard as guard_module


def token(kling, *, begin: float = -5, end: float = 1800, **changes: object) -> str:
    now = int(time.time())
    claims = {"iss": kling.access_key, "exp": now + int(end), "nbf": now + int(begin), **changes}
    return jwt.encode({key: value for key, value in claims.items() if value is not None}, kling.secret_key, algorithm="HS256")


def ask(client, authorization: str | None):
    client.session.headers.pop("Authorization")
    return client.send("GET", "/v1/videos/effects", headers={} if authorization is None else {"Authorization": authorization})


def test_api_key_is_accepted(client, kling):
    assert client.list().status_code == 200
    assert kling.journal[-1]["credential"] == "API key 1"


@pytest.mark.kling_emulator(api_key=("first", "second"))
def test_every_given_api_key_is_accepted(client, kling):
    assert ask(client, "Bearer second").status_code == 200
    assert kling.journal[-1]["credential"] == "API key 2"


def test_signed_token_is_accepted_again_and_again(client, kling):
    signed = token(kling)
    client.session.headers["Authorization"] = f"Bearer {signed}"
    assert [client.list().status_code for _ in range(3)] == [200, 200, 200]
    assert kling.journal[-1]["credential"] == f"access key {kling.access_key}"


@pytest.mark.parametrize("path", ["/v1/videos/effects", "/v1/videos/effects/1", "/account/costs?start_time=1&end_time=2"])
def test_request_without_a_header_is_refused(client, error, path):
    client.session.headers.pop("Authorization")
    assert error(client.send("GET", path))[:2] == (401, 1001)


def test_refused_create_makes_nothing(client, kling, error):
    client.session.headers["Authorization"] = "Bearer wrong"
    assert error(client.create())[:2] == (401, 1002)
    assert kling.ledger == []


@pytest.mark.parametrize(
    ("authorization", "code"),
    [("Basic abc", 1000), ("Bearer ", 1000), ("Bearer nonsense", 1002), ("Bearer a.b", 1002), ("Bearer a.b.c", 1002)],
)
def test_malformed_header_is_refused(client, error, authorization, code):
    assert error(ask(client, authorization))[:2] == (401, code)


def test_error_for_a_malformed_key_counts_its_parts(client, error):
    assert error(ask(client, "Bearer nonsense"))[2] == "The token was expected to have 3 parts, but got 0"


def test_token_of_another_secret_is_refused(client, kling, error):
    forged = jwt.encode({"iss": kling.access_key, "exp": int(time.time()) + 60, "nbf": 0}, "x" * 40, algorithm="HS256")
    assert error(ask(client, f"Bearer {forged}"))[:2] == (401, 1002)


def test_token_of_an_unknown_access_key_is_refused(client, kling, error):
    assert error(ask(client, f"Bearer {token(kling, iss='stranger')}"))[:2] == (401, 1002)


@pytest.mark.parametrize("claim", ["iss", "exp", "nbf"])
def test_token_without_a_claim_is_refused(client, kling, error, claim):
    assert error(ask(client, f"Bearer {token(kling, **{claim: None})}"))[:2] == (401, 1002)


def test_token_that_is_not_valid_yet_is_1003(client, kling, error):
    assert error(ask(client, f"Bearer {token(kling, begin=600)}"))[:2] == (401, 1003)


def test_expired_token_is_1004(client, kling, error):
    assert error(ask(client, f"Bearer {token(kling, end=-1)}"))[:2] == (401, 1004)


def test_server_whose_clock_runs_ahead_refuses_good_tokens_and_shows_its_time(client, kling, error):
    client.session.headers["Authorization"] = f"Bearer {token(kling)}"
    assert client.list().status_code == 200
    kling.configure(skew=7200.0)
    answer = client.list()
    assert error(answer)[:2] == (401, 1004)
    assert parsedate_to_datetime(answer.headers["Date"]).timestamp() > time.time() + 7000


def test_time_of_the_account_does_not_age_tokens(client, kling):
    client.session.headers["Authorization"] = f"Bearer {token(kling)}"
    kling.advance(40 * 86400)
    assert client.list().status_code == 200


def test_withdrawn_key_is_refused_at_once(client, kling, error):
    assert client.list().status_code == 200
    kling.configure(api_key=["another"])
    assert error(client.list())[:2] == (401, 1002)


def test_guard_checks_a_token_again_once_it_has_expired():
    settings = Settings(access_key=("ak:" + "s" * 40,))
    guard, header = Guard(), "Bearer " + jwt.encode({"iss": "ak", "exp": 1000, "nbf": 100}, "s" * 40, algorithm="HS256")
    assert guard.check(header, settings, now=500) == "access key ak"
    assert guard.check(header, settings, now=999) == "access key ak"
    with pytest.raises(Exception, match="expired"):
        guard.check(header, settings, now=1000)
    with pytest.raises(Exception, match="not yet valid"):
        guard.check(header, settings, now=50)


def test_guard_caches_a_limited_number_of_headers(monkeypatch):
    monkeypatch.setattr(guard_module, "MOST_CACHED", 3)
    settings = Settings(api_key=tuple(f"key{number}" for number in range(10)))
    guard = Guard()
    for key in settings.api_key:
        assert guard.check(f"Bearer {key}", settings, now=0).startswith("API key")
    assert len(guard._accepted) <= 3
