"""Who a client is, by secret or by nothing (RFC 6749 §2.3, ASVS 10.4.10)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import math
import random
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

import pytest

from tests.support.asking import ASSERTION_TYPE, KeyedPortal, bought, later
from tests.support.provider import OPERATOR, Answered, Browser, Portal, Provider

ENDPOINTS: dict[str, dict[str, str]] = {
    "/token": {"grant_type": "client_credentials"},
    "/introspect": {"token": "x"},
    "/revoke": {"token": "x"},
}
GRANTS = ["authorization_code", "refresh_token", "client_credentials"]
SCOPE = "openid profile offline_access read:x"


@pytest.fixture(scope="module")
def conf(op: Provider) -> Portal:
    return op.client("conf", grant_types=GRANTS, scope=SCOPE)


@pytest.fixture(scope="module")
def post(op: Provider) -> Portal:
    return op.client("post", grant_types=GRANTS, scope=SCOPE, token_endpoint_auth_method="client_secret_post")


@pytest.fixture(scope="module")
def public(op: Provider) -> Portal:
    return op.client("public", token_endpoint_auth_method="none")


@pytest.fixture(scope="module")
def keyed(op: Provider) -> KeyedPortal:
    return KeyedPortal.register(op, "keyed", scope=SCOPE)


def basic(identifier: str, secret: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{identifier}:{secret}".encode()).decode()}


def send(op: Provider, path: str, form: Mapping[str, str] = {}, headers: Mapping[str, str] = {}) -> Answered:
    return op.call("POST", path, {**ENDPOINTS[path], **form}, headers=headers)


@pytest.mark.parametrize("path", ENDPOINTS)
def test_the_registered_method_works_and_no_other(
    op: Provider, conf: Portal, post: Portal, public: Portal, keyed: KeyedPortal, path: str
) -> None:
    """ASVS 10.4.10: one policy at every endpoint."""
    good = [
        send(op, path, headers=basic("conf", conf.secret)),
        send(op, path, {"client_id": "conf"}, basic("conf", conf.secret)),
        send(op, path, {"client_id": "post", "client_secret": post.secret}),
        keyed.call(path, ENDPOINTS[path]),
    ]
    assert [answered.status for answered in good] == [200] * 4
    bad = [
        send(op, path),
        send(op, path, {"client_id": "conf"}),
        send(op, path, {"client_id": "conf", "client_secret": conf.secret}),
        send(op, path, {"client_id": "post"}),
        send(op, path, headers=basic("post", post.secret)),
        send(op, path, {"client_id": "keyed"}),
        send(op, path, headers=basic("keyed", "x" * 43)),
        send(op, path, {"client_id": "keyed", "client_secret": "x" * 43}),
        send(op, path, headers=basic("public", "x" * 43)),
        send(op, path, {"client_id": "public", "client_secret": "x" * 43}),
    ]
    for answered in bad:
        assert (answered.status, answered.json["error"]) == (401, "invalid_client")
        assert answered.json["error_description"] == "Client authentication failed.", "one description, whatever was wrong"
        assert answered.header("cache-control") == "no-store"


@pytest.mark.parametrize("path", ENDPOINTS)
def test_an_empty_or_wrong_secret_is_no_secret(op: Provider, conf: Portal, post: Portal, path: str) -> None:
    """Also where none is stored: for a public client and one with keys."""
    wrong = [
        "",
        " ",
        "x",
        conf.secret[:-1],
        conf.secret + "x",
        conf.secret.swapcase(),
        post.secret,
        "null",
        "None",
        "\u0130",
        "0",
        "x" * 5000,
    ]
    for secret in wrong:
        answered = send(op, path, headers=basic("conf", secret))
        assert (answered.status, answered.json["error"]) == (401, "invalid_client"), secret
        assert answered.header("www-authenticate") == 'Basic realm="motcua"'
    for secret in [each for each in wrong if each != post.secret]:
        for client in ("post", "public", "keyed", "nobody"):
            # An empty parameter counts as absent (RFC 6749 §3.2): a public client that sends one has sent none.
            if (client, secret) != ("public", ""):
                assert send(op, path, {"client_id": client, "client_secret": secret}).status == 401, (client, secret)
            assert send(op, path, headers=basic(client, secret)).status == 401
    assert send(op, path, headers=basic("conf", conf.secret)).status == 200


def test_a_client_without_a_stored_secret_has_none_that_is_right(op: Provider) -> None:
    """NULL and the digest of nothing."""
    emptied = op.client("emptied", grant_types=GRANTS, scope=SCOPE)
    for stored in ("NULL", "'\\x'::bytea", "sha256(''::bytea)"):
        with op.owner.transaction() as transaction:
            transaction.run(f"UPDATE client SET secret_digest = {stored} WHERE client_id = 'emptied'")
            transaction.run("UPDATE configuration_stamp SET version = version + 1 WHERE kind = 'clients'")
        later(op, seconds=2)
        for secret in ("", emptied.secret, "\\x", "null"):
            assert send(op, "/token", headers=basic("emptied", secret)).status == 401
            assert send(op, "/token", {"client_id": "emptied", "client_secret": secret}).status == 401


@pytest.mark.parametrize("path", ENDPOINTS)
def test_two_ways_at_once_are_refused(op: Provider, conf: Portal, post: Portal, keyed: KeyedPortal, path: str) -> None:
    """RFC 6749 §2.3: even where each would do by itself; and A's id with B's secret is nobody."""
    proof = {"client_assertion_type": ASSERTION_TYPE, "client_assertion": keyed.assertion()}
    for form, headers in (
        ({"client_id": "conf", "client_secret": conf.secret}, basic("conf", conf.secret)),
        ({"client_id": "post", "client_secret": post.secret}, basic("conf", conf.secret)),
        (proof, basic("conf", conf.secret)),
        (proof, basic("keyed", "x")),
        (proof | {"client_secret": post.secret, "client_id": "post"}, {}),
    ):
        answered = send(op, path, form, headers)
        assert (answered.status, answered.json["error"]) == (400, "invalid_request")
    assert send(op, path, {"client_id": "post"}, basic("conf", conf.secret)).status == 401
    assert send(op, path, proof | {"client_id": "conf"}).status == 401
    assert send(op, path, proof).status == 200, "none of them used up the assertion"


@pytest.mark.parametrize(
    "header",
    [
        "Basic",
        "Basic ",
        "Basic !!!",
        "Basic Y29uZg==",
        "Basic " + base64.b64encode(b"conf:").decode(),
        "Basic " + base64.b64encode(b":secret").decode(),
        "Basic " + base64.b64encode(b"\xff\xfe:\xff").decode(),
        "Basic " + base64.b64encode(b"conf:%ff").decode(),
        "Basic " + base64.b64encode(b"conf:%00").decode(),
        "Basic " + base64.b64encode(b"conf:" + b"x" * 5000).decode(),
        "Basic \u00e9",
        "Bearer x",
        "Digest username=conf",
        "Negotiate x",
        "basic",
        "x",
    ],
)
def test_a_header_that_cannot_be_read_is_no_authentication(op: Provider, header: str) -> None:
    for path in ENDPOINTS:
        answered = send(op, path, headers={"Authorization": header})
        assert answered.status == 401
        assert answered.json["error"] == "invalid_client"


def test_a_header_that_came_twice_is_not_read(op: Provider, conf: Portal) -> None:
    """A server joins two headers by a comma."""
    twice = conf.authorization + ", " + conf.authorization
    answered = send(op, "/token", headers={"Authorization": twice})
    assert answered.status == 400
    assert answered.header("content-type") == "application/json"


def test_identifier_and_secret_are_form_encoded_in_the_header(op: Provider) -> None:
    """RFC 6749 §2.3.1: a client library that encodes what it needs not, or must, is understood; the scheme in any case."""
    secret = "~!@#$%^&*()+=:-/?" + "x" * 30
    odd = op.client(
        "odd.name_1",
        client_secret=secret,
        grant_types=GRANTS,
        scope=SCOPE,
        redirect_uris=["https://odd.example/cb"],
        post_logout_redirect_uris=None,
    )
    encoded = "".join(f"%{byte:02X}" for byte in odd.secret.encode())
    assert send(op, "/token", headers=basic(quote("odd.name_1", safe=""), quote(odd.secret, safe=""))).status == 200
    assert send(op, "/token", headers=basic("%6Fdd.name_1", encoded)).status == 200
    lower = basic("odd.name_1", encoded)["Authorization"].replace("Basic", "bAsIc")
    assert send(op, "/token", headers={"Authorization": lower}).status == 200


@pytest.mark.parametrize("kind", ["conf", "post", "public", "keyed"])
def test_a_disabled_client_is_dead_at_every_endpoint(op: Provider, kind: str) -> None:
    """Token, refresh, introspection, revocation, authorization; whatever way it authenticates."""
    name = "dying-" + kind
    keyed: KeyedPortal | None = None
    if kind == "keyed":
        keyed = KeyedPortal.register(op, name, scope=SCOPE)
        portal = keyed.portal
    else:
        method = {"conf": "client_secret_basic", "post": "client_secret_post", "public": "none"}[kind]
        grants, scope = (GRANTS, SCOPE) if kind != "public" else (GRANTS[:2], "openid profile offline_access")
        portal = op.client(name, token_endpoint_auth_method=method, grant_types=grants, scope=scope)

    def call(path: str, form: dict[str, str]) -> Answered:
        return keyed.call(path, form) if keyed else portal.call(path, form)

    code = portal.code_for(Browser(op), op.person(), scope="openid offline_access")
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": portal.redirect_uri, "code_verifier": portal.verifier}
    tokens = call("/token", form).json
    assert call("/revoke", {"token": "x"}).status == 200

    op.rooms.clients.disable(name, "test", origin=OPERATOR)
    refresh = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    assert call("/token", refresh).status in {400, 401}, "at once, even while the configuration is a second old"
    later(op, seconds=2)
    for path, asked in (("/token", refresh), ("/token", ENDPOINTS["/token"]), ("/introspect", {"token": "x"}), ("/revoke", {"token": "x"})):
        answered = call(path, asked)
        assert (answered.status, answered.json["error"]) == (401, "invalid_client")
    assert op.call("GET", portal.ask()).status == 400


def test_a_rotated_secret_replaces_the_old_one(op: Provider) -> None:
    rotating = op.client("rotating", grant_types=GRANTS, scope=SCOPE)
    fresh = op.rooms.clients.rotate_secret("rotating", origin=OPERATOR)
    later(op, seconds=2)
    assert send(op, "/token", headers=basic("rotating", rotating.secret)).status == 401
    assert send(op, "/token", headers=basic("rotating", fresh)).status == 200


TABLES = """
SELECT c.relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p') AND NOT c.relispartition
ORDER BY 1
"""


def rows_with(op: Provider, text: str) -> dict[str, int]:
    """Return how many rows of which tables hold a text somewhere."""
    held = {}
    with op.owner.transaction() as transaction:
        for table in transaction.all(TABLES):
            row = transaction.one(f"SELECT count(*) AS many FROM {table.name} t WHERE position(%(text)s in t::text) > 0", {"text": text})
            assert row is not None
            held[str(table.name)] = int(row.many)
    return {name: many for name, many in held.items() if many}


def test_a_secret_is_in_no_row_but_as_its_digest(op: Provider) -> None:
    """ASVS 11.4.1: one that was made here, one that was declared, and one that was rotated in; whole, in halves, or in hexadecimal."""
    declared = "a-declared-secret-of-forty-characters-or"
    made = op.client("made", grant_types=GRANTS, scope=SCOPE)
    told = op.client("told", grant_types=GRANTS, scope=SCOPE, client_secret=declared)
    op.client("turned", grant_types=GRANTS, scope=SCOPE)
    fresh = op.rooms.clients.rotate_secret("turned", origin=OPERATOR)
    later(op, seconds=2)
    for client_id, secret in (("made", made.secret), ("told", told.secret), ("turned", fresh)):
        assert send(op, "/token", headers=basic(client_id, secret)).status == 200
        for part in (secret[:20], secret[-20:], secret.encode().hex(), base64.b64encode(secret.encode())[:40].decode()):
            assert rows_with(op, part) == {}, client_id
        assert rows_with(op, hashlib.sha256(secret.encode()).hexdigest()) == {"client": 1}, "the control: this is what is stored"


def test_a_secret_is_compared_by_its_digest_and_in_constant_time(op: Provider, conf: Portal, monkeypatch: pytest.MonkeyPatch) -> None:
    """ASVS 11.2.4: what is compared says nothing of how much of the secret was right, and takes no shorter for it."""
    stored = hashlib.sha256(conf.secret.encode()).digest()
    compared: list[tuple[object, object]] = []
    compare = hmac.compare_digest

    def watch(left: Any, right: Any) -> bool:
        compared.append((left, right))
        return compare(left, right)

    monkeypatch.setattr(hmac, "compare_digest", watch)
    tried = [conf.secret[:right] + "~" * (len(conf.secret) - right) for right in range(len(conf.secret))] + [conf.secret]
    answers = [send(op, "/token", headers=basic("conf", secret)).status for secret in tried]
    assert answers == [401] * len(conf.secret) + [200]
    of_secrets = [left for left, right in compared if right == stored]
    assert of_secrets == [hashlib.sha256(secret.encode()).digest() for secret in tried]


def test_how_much_of_a_secret_is_right_does_not_show_in_the_time(op: Provider, conf: Portal) -> None:
    """Rank correlation of 2 000 timed comparisons with the length of the prefix that is right, p > 0.01 in one of three tries."""
    client = op.rooms.clients.find("conf")
    assert client is not None
    assert client.is_secret(conf.secret)
    assert max(chance_of(client.is_secret, conf.secret, seed) for seed in range(3)) > 0.01


def test_a_comparison_that_stops_early_would_be_found(conf: Portal) -> None:
    """The control of the measure."""

    def stops_early(presented: str) -> bool:
        return len(presented) == len(conf.secret) and all(left == right for left, right in zip(presented, conf.secret, strict=True))

    assert max(chance_of(stops_early, conf.secret, seed) for seed in range(3)) < 1e-6


def chance_of(compare: Callable[[str], bool], secret: str, seed: int) -> float:
    """Return how likely so much correlation is between what is right and how long it takes, if there is none (Spearman's rank test)."""
    dice = random.Random(seed)  # noqa: S311 - an order, no secret
    rights = [number % len(secret) for number in range(2000)]
    dice.shuffle(rights)
    tried = [secret[:right] + "~" * (len(secret) - right) for right in rights]
    took = []
    for presented in tried:
        began = time.perf_counter_ns()
        for _ in range(10):
            compare(presented)
        took.append(float(time.perf_counter_ns() - began))
    correlation = statistics.correlation(ranks([float(right) for right in rights]), ranks(took))
    return math.erfc(abs(correlation) * math.sqrt(len(rights) - 1) / math.sqrt(2))


def ranks(values: list[float]) -> list[float]:
    """Return each value's rank; equal ones share theirs."""
    places: dict[float, list[int]] = {}
    for place, value in enumerate(sorted(values)):
        places.setdefault(value, []).append(place)
    return [statistics.fmean(places[value]) for value in values]


def test_an_unknown_client_and_a_wrong_secret_are_told_apart_by_nothing(op: Provider, conf: Portal) -> None:
    """RFC 6749 §5.2: the same words, headers and status."""
    known = send(op, "/token", headers=basic("conf", "x" * 43))
    unknown = send(op, "/token", headers=basic("nobody", "x" * 43))
    assert (known.status, known.headers, known.body) == (unknown.status, unknown.headers, unknown.body)


def test_a_public_client_is_known_by_its_verifier_alone(op: Provider, public: Portal) -> None:
    """RFC 9700 §2.1.1: no secret, so PKCE and rotation carry it."""
    citizen = op.person()
    tokens = bought(public, Browser(op), citizen, scope="openid offline_access")
    assert public.refresh(tokens["refresh_token"]).status == 200
    assert public.refresh(tokens["refresh_token"]).json["error"] == "invalid_grant"
