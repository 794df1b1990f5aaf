-- The first house: every table that signing in once and using two portals needs, built as the laws say from the start.
--
-- Conventions. Ids are UUIDv7 made by the process. Bearer values are stored as SHA-256 digests. `*_sealed` is AEAD with its key id,
-- `*_index` a keyed blind index. Instants are bound by the process; no statement of ours asks the database for the time.
-- Death is a mark on a row itself (`…_at`), joined at every use through the `*_alive` views; a view's `until` is the instant from
-- which the row no longer counts, and takes in that of every view it joins. Short-lived rows carry no foreign keys: their statement
-- has just read what they point to.

-- Rows that are marked once soon after they came leave each page some room (fillfactor), so that no index hears of the mark.
-- What is only ever looked for by the purge has BRIN indexes: rows come in the order of time, and an insert costs them nothing.

-- keys ---------------------------------------------------------------------------------------------------------------------------
CREATE TABLE sealing_key (
    id            integer PRIMARY KEY CHECK (id BETWEEN 1 AND 65535),
    purpose       text NOT NULL CHECK (purpose IN ('seal', 'index')),
    wrapped       bytea NOT NULL,             -- 32 random bytes under the key-encryption key
    wrapped_with  text NOT NULL,              -- which key-encryption key
    created_at    timestamptz NOT NULL,
    active_at     timestamptz,                -- new values get the key of its purpose that became active last
    retired_at    timestamptz
);

CREATE TABLE signing_key (
    kid             text PRIMARY KEY,
    alg             text NOT NULL,
    public_jwk      jsonb NOT NULL,
    private_wrapped bytea NOT NULL,
    wrapped_with    text NOT NULL,
    created_at      timestamptz NOT NULL,
    signs_from      timestamptz NOT NULL,     -- staged before, signing after
    signs_until     timestamptz,              -- verifying after
    verifies_until  timestamptz               -- retired after
);

-- What configuration a process holds in memory: a counter for each kind, read again at most one second later.
CREATE TABLE configuration_stamp (
    kind    text PRIMARY KEY,
    version bigint NOT NULL
);
INSERT INTO configuration_stamp (kind, version) VALUES ('clients', 1), ('keys', 1);

CREATE TABLE deployment (
    one         boolean PRIMARY KEY DEFAULT true CHECK (one),
    mode        text NOT NULL CHECK (mode IN ('production', 'demo', 'test')),
    issuer      text NOT NULL,
    not_before  timestamptz NOT NULL DEFAULT '-infinity'      -- nothing issued earlier counts any more
);

-- audit --------------------------------------------------------------------------------------------------------------------------
CREATE TABLE audit_event (
    id          uuid NOT NULL,
    at          timestamptz NOT NULL,
    kind        text NOT NULL,
    account_id  uuid,
    client_id   uuid,
    session_id  uuid,
    family_id   uuid,
    object_id   uuid,
    body        bytea,                        -- erased with its salt; the leaf stays
    salt        bytea,
    leaf        bytea NOT NULL,
    PRIMARY KEY (id, at)
) PARTITION BY RANGE (at);
CREATE TABLE audit_event_default PARTITION OF audit_event DEFAULT;
CREATE INDEX audit_event_at ON audit_event USING brin (at);
CREATE INDEX audit_event_account ON audit_event (account_id, at) WHERE account_id IS NOT NULL;

-- leaf = sha256(0x00 || salt || id || at || related ids || sha256(body)); an absent id is sixteen zero bytes.
CREATE FUNCTION audit_leaf(salt bytea, id uuid, at_microseconds bigint, account_id uuid, client_id uuid, session_id uuid,
                           family_id uuid, object_id uuid, body bytea)
RETURNS bytea LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN sha256('\x00'::bytea || salt || uuid_send(id) || int8send(at_microseconds)
    || coalesce(uuid_send(account_id), '\x00000000000000000000000000000000'::bytea)
    || coalesce(uuid_send(client_id), '\x00000000000000000000000000000000'::bytea)
    || coalesce(uuid_send(session_id), '\x00000000000000000000000000000000'::bytea)
    || coalesce(uuid_send(family_id), '\x00000000000000000000000000000000'::bytea)
    || coalesce(uuid_send(object_id), '\x00000000000000000000000000000000'::bytea)
    || sha256(body));

-- throttle -----------------------------------------------------------------------------------------------------------------------
CREATE TABLE guess_allowance (
    kind              text NOT NULL,          -- password, password_known_device, otp, recovery_code
    lane              bytea NOT NULL,         -- of an account, of an account with a device (a common first half), or the index of an unknown identifier
    short_count       integer NOT NULL,
    short_until       timestamptz NOT NULL,
    long_count        integer NOT NULL,
    long_until        timestamptz NOT NULL,
    consecutive       integer NOT NULL,
    PRIMARY KEY (kind, lane)
);

-- accounts -----------------------------------------------------------------------------------------------------------------------
CREATE TABLE holder (
    id          uuid PRIMARY KEY,
    kind        text NOT NULL CHECK (kind IN ('person', 'organization')),
    created_at  timestamptz NOT NULL
);

CREATE TABLE person (
    holder_id       uuid PRIMARY KEY REFERENCES holder,
    person_type     text NOT NULL CHECK (person_type IN ('citizen', 'foreigner', 'identity_certificate')),
    full_name       text NOT NULL,
    search_key      text NOT NULL,            -- accent-free upper case
    birth_date      date NOT NULL,
    sex             text NOT NULL CHECK (sex IN ('male', 'female')),
    nationality     text NOT NULL,            -- ISO 3166-1 alpha-2
    phone_sealed    bytea,
    phone_index     bytea,
    phone_verified_at timestamptz,
    email_sealed    bytea,
    email_index     bytea,
    email_verified_at timestamptz,
    address_sealed  bytea,
    updated_at      timestamptz NOT NULL
);
CREATE INDEX person_search ON person (search_key text_pattern_ops);
CREATE INDEX person_phone ON person (phone_index) WHERE phone_index IS NOT NULL;

CREATE TABLE person_number (                  -- the personal number may change in life: all of them, at most one current
    id            uuid PRIMARY KEY,
    holder_id     uuid NOT NULL REFERENCES person,
    number_sealed bytea NOT NULL,
    number_index  bytea NOT NULL UNIQUE,
    since         timestamptz NOT NULL,
    replaced_at   timestamptz
);
CREATE UNIQUE INDEX person_number_current ON person_number (holder_id) WHERE replaced_at IS NULL;

CREATE TABLE account (
    id            uuid PRIMARY KEY,
    holder_id     uuid NOT NULL UNIQUE REFERENCES holder,
    state         text NOT NULL CHECK (state IN ('pending', 'active', 'closed')),
    locale        text NOT NULL,              -- the language the person is spoken to in
    not_before    timestamptz NOT NULL DEFAULT '-infinity',   -- sessions and grants begun earlier are dead
    created_at    timestamptz NOT NULL,
    activated_at  timestamptz
);

CREATE INDEX account_forgets ON account (not_before) WHERE not_before > '-infinity';

CREATE TABLE account_lock (                   -- several may overlap; the account lives when none is left
    id            uuid PRIMARY KEY,
    account_id    uuid NOT NULL REFERENCES account,
    reason        text NOT NULL,
    legal_basis   text NOT NULL,
    placed_by     text NOT NULL,
    placed_at     timestamptz NOT NULL,
    until         timestamptz,                -- a job lifts it then; until the job has run it holds
    lifted_at     timestamptz,
    lifted_by     text
);
CREATE INDEX account_lock_held ON account_lock (account_id) WHERE lifted_at IS NULL;

CREATE TABLE subject_identifier (             -- `sub`: random for each holder and sector, never derived from anything
    holder_id     uuid NOT NULL REFERENCES holder,
    sector        text NOT NULL,
    sub           text NOT NULL UNIQUE,
    created_at    timestamptz NOT NULL,
    PRIMARY KEY (holder_id, sector)
);

-- What a person is known by now, sealed values as they lie: for claims.
CREATE VIEW subject_known WITH (security_invoker = true) AS
SELECT i.holder_id, i.sector, i.sub
FROM subject_identifier i;

CREATE VIEW account_known WITH (security_invoker = true) AS
SELECT a.holder_id, a.locale
FROM account a;

CREATE VIEW person_known WITH (security_invoker = true) AS
SELECT p.holder_id, p.person_type, p.full_name, p.birth_date, p.sex, p.nationality, p.phone_sealed, p.phone_verified_at,
       p.email_sealed, p.email_verified_at, p.address_sealed, p.updated_at, n.id AS number_id, n.number_sealed
FROM person p
LEFT JOIN person_number n ON n.holder_id = p.holder_id AND n.replaced_at IS NULL;

CREATE VIEW account_alive WITH (security_invoker = true) AS
SELECT a.id, a.holder_id, a.not_before, a.locale, 'infinity'::timestamptz AS until
FROM account a
WHERE a.state = 'active'
  AND NOT EXISTS (SELECT 1 FROM account_lock l WHERE l.account_id = a.id AND l.lifted_at IS NULL);

-- authenticators -----------------------------------------------------------------------------------------------------------------
CREATE TABLE password (
    account_id    uuid PRIMARY KEY REFERENCES account,
    hash_sealed   bytea NOT NULL,
    version       integer NOT NULL,           -- moves with every password that is set, not when the same one is hashed or sealed anew
    set_at        timestamptz NOT NULL
);

CREATE TABLE totp (
    id            uuid PRIMARY KEY,
    account_id    uuid NOT NULL REFERENCES account,
    secret_sealed bytea NOT NULL,
    created_at    timestamptz NOT NULL,
    confirmed_at  timestamptz,
    last_step     bigint NOT NULL DEFAULT 0,  -- the newest time step that was ever accepted; only later ones count
    removed_at    timestamptz
);
CREATE INDEX totp_account ON totp (account_id) WHERE removed_at IS NULL;

CREATE TABLE recovery_code (
    account_id    uuid NOT NULL REFERENCES account,
    code_index    bytea NOT NULL,             -- keyed digest of 120 random bits
    created_at    timestamptz NOT NULL,
    used_at       timestamptz,
    replaced_at   timestamptz,
    PRIMARY KEY (account_id, code_index)
);

CREATE TABLE known_device (
    id            uuid PRIMARY KEY,
    account_id    uuid NOT NULL REFERENCES account,
    device_digest bytea NOT NULL,
    first_seen_at timestamptz NOT NULL,
    last_seen_at  timestamptz NOT NULL,
    revoked_at    timestamptz,
    UNIQUE (device_digest, account_id)
);

-- enrolment ----------------------------------------------------------------------------------------------------------------------
CREATE TABLE activation_code (
    digest        bytea PRIMARY KEY,
    account_id    uuid NOT NULL REFERENCES account,
    issued_by     text NOT NULL,
    issued_at     timestamptz NOT NULL,
    expires_at    timestamptz NOT NULL,
    used_at       timestamptz,
    replaced_at   timestamptz                 -- a newer code was issued
);

-- assurance ----------------------------------------------------------------------------------------------------------------------
CREATE TABLE evidence (
    id            uuid PRIMARY KEY,
    person_id     uuid NOT NULL REFERENCES person,
    kind          text NOT NULL,
    checked_by    text NOT NULL,
    how           text NOT NULL,
    checked_at    timestamptz NOT NULL,
    expires_at    timestamptz,
    recorded_at   timestamptz NOT NULL,
    struck_at     timestamptz,
    struck_by     text,
    struck_reason text
);
CREATE INDEX evidence_person ON evidence (person_id);

CREATE TABLE assessment (                     -- what the evidence carries, written with every change of it
    person_id      uuid PRIMARY KEY REFERENCES person,
    ial            smallint NOT NULL,
    because        uuid[] NOT NULL,
    until          timestamptz NOT NULL,      -- past it, or under another policy version, computed anew
    policy_version text NOT NULL,
    assessed_at    timestamptz NOT NULL
);
CREATE INDEX assessment_policy ON assessment (policy_version, person_id);

CREATE VIEW assessed WITH (security_invoker = true) AS
SELECT v.person_id, v.ial, v.policy_version, v.until
FROM assessment v;

-- clients ------------------------------------------------------------------------------------------------------------------------
CREATE TABLE client (
    id               uuid PRIMARY KEY,
    client_id        text NOT NULL UNIQUE,
    profile          text NOT NULL CHECK (profile IN ('baseline', 'legacy')),
    sector           text NOT NULL,
    metadata         jsonb NOT NULL,          -- RFC 7591 names, as declared; no secret
    secret_digest    bytea,
    created_at       timestamptz NOT NULL,
    updated_at       timestamptz NOT NULL,
    expires_at       timestamptz NOT NULL DEFAULT 'infinity',  -- the end date of a legacy client
    not_before       timestamptz NOT NULL DEFAULT '-infinity',
    disabled_at      timestamptz,
    disabled_reason  text
);

CREATE VIEW client_alive WITH (security_invoker = true) AS
SELECT c.id, c.client_id, c.not_before, c.expires_at AS until
FROM client c
WHERE c.disabled_at IS NULL;

CREATE TABLE client_assertion (               -- each `jti` once for each client; never partitioned
    client_id     uuid NOT NULL,
    jti_digest    bytea NOT NULL,
    expires_at    timestamptz NOT NULL,
    PRIMARY KEY (client_id, jti_digest)
);
CREATE INDEX client_assertion_expiry ON client_assertion USING brin (expires_at);

-- sessions -----------------------------------------------------------------------------------------------------------------------
CREATE TABLE session (
    id            uuid PRIMARY KEY,
    secret_digest bytea NOT NULL UNIQUE,      -- of the cookie; replaced with every proof
    account_id    uuid NOT NULL REFERENCES account,
    version       integer NOT NULL,           -- moves with every proof
    proofs        jsonb NOT NULL,             -- {method: seconds since 1970}, the latest of each
    user_agent    text NOT NULL,
    started_at    timestamptz NOT NULL,
    seen_at       timestamptz NOT NULL,
    idle_until    timestamptz NOT NULL,
    expires_at    timestamptz NOT NULL,
    ended_at      timestamptz,
    end_reason    text
);
CREATE INDEX session_account ON session (account_id) WHERE ended_at IS NULL;

CREATE VIEW session_alive WITH (security_invoker = true) AS
SELECT s.id, s.secret_digest, s.account_id, a.holder_id, a.locale, s.version, s.proofs, s.started_at, s.seen_at,
       least(s.idle_until, s.expires_at, a.until) AS until
FROM session s
JOIN account_alive a ON a.id = s.account_id
WHERE s.ended_at IS NULL AND s.started_at >= a.not_before AND s.started_at >= (SELECT d.not_before FROM deployment d);

-- A session that has not ended, for who joins the account already and knows when the session began.
CREATE VIEW session_open WITH (security_invoker = true) AS
SELECT s.id, least(s.idle_until, s.expires_at) AS until
FROM session s
WHERE s.ended_at IS NULL;

CREATE TABLE login_event (                    -- each proof, when and how
    id            uuid NOT NULL,
    at            timestamptz NOT NULL,
    account_id    uuid NOT NULL,
    session_id    uuid NOT NULL,
    method        text NOT NULL,
    client_id     uuid,
    device_id     uuid,
    address       text NOT NULL,
    PRIMARY KEY (id, at)
) PARTITION BY RANGE (at);
CREATE TABLE login_event_default PARTITION OF login_event DEFAULT;
CREATE INDEX login_event_account ON login_event (account_id, at);

CREATE TABLE session_client (                 -- which portals a session reached; `sid` is random for each pair
    session_id    uuid NOT NULL,
    client_id     uuid NOT NULL,
    sid           text NOT NULL UNIQUE,
    sub           text NOT NULL,
    first_at      timestamptz NOT NULL,
    PRIMARY KEY (session_id, client_id)
);

CREATE VIEW session_reached WITH (security_invoker = true) AS
SELECT r.session_id, r.client_id, r.sid, r.sub
FROM session_client r;

CREATE TABLE logout_notice (                  -- what became of telling a portal that a session ended
    id            uuid PRIMARY KEY,
    session_id    uuid NOT NULL,
    client_id     uuid NOT NULL,
    sid           text NOT NULL,
    sub           text NOT NULL,
    created_at    timestamptz NOT NULL,
    attempts      integer NOT NULL DEFAULT 0,
    last_tried_at timestamptz,
    last_outcome  text,
    delivered_at  timestamptz,
    given_up_at   timestamptz,
    UNIQUE (session_id, client_id)
);

-- grants -------------------------------------------------------------------------------------------------------------------------
CREATE TABLE consent (
    id                  uuid PRIMARY KEY,
    actor_account_id    uuid NOT NULL REFERENCES account,
    principal_holder_id uuid NOT NULL REFERENCES holder,
    mandate_id          uuid,
    client_id           uuid NOT NULL REFERENCES client,
    scopes              text[] NOT NULL,
    claims              text[] NOT NULL,
    version             integer NOT NULL,
    given_at            timestamptz NOT NULL,
    changed_at          timestamptz NOT NULL,
    withdrawn_at        timestamptz
);
CREATE UNIQUE INDEX consent_in_force ON consent (actor_account_id, principal_holder_id, client_id, coalesce(mandate_id, '00000000-0000-0000-0000-000000000000'))
    WHERE withdrawn_at IS NULL;

CREATE TABLE family (                         -- all that one authorization gave; made with the code, so that a replay can kill it
    id                  uuid PRIMARY KEY,
    kind                text NOT NULL CHECK (kind IN ('online', 'offline')),
    client_id           uuid NOT NULL,
    actor_account_id    uuid NOT NULL,
    principal_holder_id uuid NOT NULL,
    mandate_id          uuid,
    consent_id          uuid NOT NULL,
    session_id          uuid NOT NULL,
    sid                 text NOT NULL,
    sub                 text NOT NULL,
    scopes              text[] NOT NULL,
    claims              jsonb,                -- the `claims` parameter, as far as it was understood
    nonce               text,
    acr                 text NOT NULL,
    ial                 smallint NOT NULL,
    aal                 smallint NOT NULL,
    amr                 text[] NOT NULL,
    auth_time           timestamptz NOT NULL,
    session_started_at  timestamptz NOT NULL,
    issued_at           timestamptz NOT NULL,
    expires_at          timestamptz NOT NULL,
    killed_at           timestamptz,
    kill_reason         text
);
CREATE INDEX family_account ON family (actor_account_id, issued_at);
CREATE INDEX family_expiry ON family USING brin (expires_at);

CREATE TABLE code (
    digest          bytea PRIMARY KEY,
    family_id       uuid NOT NULL,
    client_id       uuid NOT NULL,
    redirect_uri    text NOT NULL,
    challenge       text,                     -- S256; none only for a legacy client
    issued_at       timestamptz NOT NULL,
    expires_at      timestamptz NOT NULL,
    used_at         timestamptz
) WITH (fillfactor = 70);
CREATE INDEX code_issued ON code USING brin (issued_at);

CREATE TABLE access_token (
    digest          bytea PRIMARY KEY,
    family_id       uuid,                     -- none for a client acting for itself
    client_id       uuid NOT NULL,
    scopes          text[] NOT NULL,
    issued_at       timestamptz NOT NULL,
    expires_at      timestamptz NOT NULL,
    disclosed_at    timestamptz,              -- when it first fetched attributes
    revoked_at      timestamptz
) WITH (fillfactor = 70);
CREATE INDEX access_token_issued ON access_token USING brin (issued_at);

CREATE TABLE refresh_token (
    digest          bytea PRIMARY KEY,
    family_id       uuid NOT NULL,
    client_id       uuid NOT NULL,
    scopes          text[] NOT NULL,
    issued_at       timestamptz NOT NULL,
    expires_at      timestamptz NOT NULL,
    used_at         timestamptz
) WITH (fillfactor = 70);
CREATE INDEX refresh_token_issued ON refresh_token USING brin (issued_at);

CREATE VIEW consent_alive WITH (security_invoker = true) AS
SELECT c.id, c.actor_account_id, c.principal_holder_id, c.mandate_id, c.client_id, c.scopes, c.claims, c.version,
       'infinity'::timestamptz AS until
FROM consent c
WHERE c.withdrawn_at IS NULL;

-- A grant lives while its family is not killed and everything it came from lives: account, client, consent, and for an online one
-- the session; while nothing of them was told to forget what came before; and while the evidence still carries the level it states.
-- A family dies with the beginning of its session, not with its own: a code may be issued while what ends the session is under way.
CREATE VIEW grant_alive WITH (security_invoker = true) AS
SELECT f.id, f.kind, f.client_id, f.actor_account_id, f.principal_holder_id, f.mandate_id, f.consent_id, f.session_id, f.sid, f.sub,
       f.scopes, f.claims, f.nonce, f.acr, f.ial, f.aal, f.amr, f.auth_time, f.issued_at, a.locale, cl.client_id AS client_name,
       least(f.expires_at, a.until, cl.until, co.until, v.until, CASE f.kind WHEN 'offline' THEN 'infinity'
           ELSE coalesce((SELECT s.until FROM session_open s WHERE s.id = f.session_id), '-infinity') END) AS until
FROM family f
JOIN account_alive a ON a.id = f.actor_account_id AND f.session_started_at >= a.not_before
JOIN client_alive cl ON cl.id = f.client_id AND f.issued_at >= cl.not_before
JOIN consent_alive co ON co.id = f.consent_id
JOIN assessed v ON v.person_id = f.principal_holder_id AND v.ial >= f.ial
WHERE f.killed_at IS NULL AND f.session_started_at >= (SELECT d.not_before FROM deployment d);

-- jobs ---------------------------------------------------------------------------------------------------------------------------
CREATE TABLE periodic_work (                  -- done again and again, by whichever worker moves `due_at` on first
    name          text PRIMARY KEY,
    due_at        timestamptz NOT NULL
);

-- Time partitions, made ahead by a job whose role may not create tables --------------------------------------------------------------
CREATE FUNCTION make_partitions_ahead(from_day date, days integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
DECLARE
    made integer := 0;
    parent text;
    month_start date;
    part text;
    from_at text;
    until_at text;
BEGIN
    FOREACH parent IN ARRAY ARRAY['audit_event', 'login_event'] LOOP
        FOR month_start IN
            SELECT DISTINCT date_trunc('month', from_day + n)::date FROM generate_series(0, days) AS n ORDER BY 1
        LOOP
            part := parent || to_char(month_start, '_YYYY_MM');
            IF to_regclass('public.' || part) IS NULL THEN
                from_at := month_start || ' 00:00:00+00';
                until_at := (month_start + interval '1 month')::date || ' 00:00:00+00';
                -- Rows that came before their partition did lie in the default one, and would forbid it: they move.
                EXECUTE format('LOCK TABLE public.%I IN ACCESS EXCLUSIVE MODE', parent || '_default');
                EXECUTE format('CREATE TABLE public.%I (LIKE public.%I INCLUDING ALL)', part, parent);
                EXECUTE format('WITH moved AS (DELETE FROM public.%I WHERE at >= %L AND at < %L RETURNING *) INSERT INTO public.%I '
                               'SELECT * FROM moved', parent || '_default', from_at, until_at, part);
                EXECUTE format('ALTER TABLE public.%I ATTACH PARTITION public.%I FOR VALUES FROM (%L) TO (%L)', parent, part,
                               from_at, until_at);
                made := made + 1;
            END IF;
        END LOOP;
    END LOOP;
    RETURN made;
END $$;
REVOKE ALL ON FUNCTION make_partitions_ahead(date, integer) FROM PUBLIC;

-- Private halves that sign no more, taken away by a job whose role may not touch keys. A key that signs now, or will, is out of its reach.
CREATE FUNCTION erase_private_halves(at timestamptz) RETURNS integer
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
    WITH erased AS (
        UPDATE signing_key SET private_wrapped = ''::bytea
        WHERE signs_until < least(at, clock_timestamp()) - interval '1 minute' AND private_wrapped <> ''::bytea
        RETURNING kid
    )
    SELECT count(*)::integer FROM erased
$$;
REVOKE ALL ON FUNCTION erase_private_halves(timestamptz) FROM PUBLIC;

-- Roles: the application serves and appends to the audit; the worker delivers and purges, and reads what that needs ----------------------
GRANT USAGE ON SCHEMA public TO idp_app, idp_worker;
GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA public TO idp_app;
REVOKE UPDATE ON audit_event, audit_event_default, login_event, login_event_default FROM idp_app;
REVOKE INSERT, UPDATE ON deployment, alembic_version FROM idp_app;
GRANT DELETE ON guess_allowance, client_assertion TO idp_app;
GRANT SELECT ON deployment, configuration_stamp, client, signing_key, sealing_key TO idp_worker;   -- whom to tell, and with which keys
GRANT INSERT ON audit_event TO idp_worker;
GRANT SELECT, UPDATE ON account_lock TO idp_worker;
GRANT SELECT, UPDATE (not_before) ON account TO idp_worker;        -- lifting a lock that ended
GRANT SELECT, UPDATE, DELETE ON code, access_token, refresh_token, client_assertion, guess_allowance TO idp_worker;
GRANT SELECT, DELETE ON family TO idp_worker;
GRANT SELECT ON account_alive, session_alive, session_client TO idp_worker;
GRANT SELECT, UPDATE (ended_at, end_reason) ON session TO idp_worker;   -- ending those whose account died,
GRANT SELECT, INSERT, UPDATE ON logout_notice TO idp_worker;            -- and having their portals told
GRANT SELECT, INSERT, UPDATE ON periodic_work TO idp_worker;
GRANT EXECUTE ON FUNCTION make_partitions_ahead(date, integer), erase_private_halves(timestamptz) TO idp_worker;
