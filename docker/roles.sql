-- The login roles of the provider, to be run once by a superuser in the database that the provider will use:
--
--     createdb idp
--     psql --dbname idp --file roles.sql
--
-- Running it again brings the roles back to what is written here. It sets no password; give each role its own
-- afterwards (`\password idp_app` in psql), or let them log in by certificate.
--
-- Time-outs stand on the roles, since a pooler in between refuses start-up options.

DO $$
DECLARE
    login text;
BEGIN
    FOREACH login IN ARRAY ARRAY['idp_owner', 'idp_app', 'idp_worker'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = login) THEN
            EXECUTE format('CREATE ROLE %I', login);
        END IF;
        EXECUTE format('ALTER ROLE %I LOGIN NOSUPERUSER NOCREATEROLE NOCREATEDB NOREPLICATION NOBYPASSRLS', login);
        EXECUTE format('ALTER ROLE %I RESET ALL', login);
    END LOOP;
END
$$;

-- idp_owner migrates: it owns the database and every table in it. Migrations may take their time.

-- idp_app serves people and portals. Nothing it does is slow, unless something is wrong.
ALTER ROLE idp_app SET statement_timeout = '2500ms';
ALTER ROLE idp_app SET lock_timeout = '1s';
ALTER ROLE idp_app SET idle_in_transaction_session_timeout = '5s';
-- Its statements look rows up by keys: one generic plan of index look-ups serves every value. Planning anew, or compiling, would cost
-- more than the step, and a plan made while a table was still empty would scan it, or a whole index of it, for as long as the
-- connection is kept: each row that is passed by costs as much as a page.
ALTER ROLE idp_app SET plan_cache_mode = 'force_generic_plan';
ALTER ROLE idp_app SET jit = 'off';
ALTER ROLE idp_app SET enable_seqscan = 'off';
ALTER ROLE idp_app SET enable_bitmapscan = 'off';
ALTER ROLE idp_app SET enable_hashjoin = 'off';
ALTER ROLE idp_app SET enable_mergejoin = 'off';
ALTER ROLE idp_app SET cpu_tuple_cost = '1';
ALTER ROLE idp_app SET cpu_index_tuple_cost = '1';

-- idp_worker does jobs: it delivers, makes partitions and purges in batches.
ALTER ROLE idp_worker SET statement_timeout = '30s';
ALTER ROLE idp_worker SET lock_timeout = '1s';
ALTER ROLE idp_worker SET idle_in_transaction_session_timeout = '30s';

-- The database belongs to its owner; the others may enter, and define nothing. Rights on tables come with the migrations.
DO $$
BEGIN
    EXECUTE format('ALTER DATABASE %I OWNER TO idp_owner', current_database());
    EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO idp_app, idp_worker', current_database());
END
$$;
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
