#!/bin/sh
# Gives each role the password of its secret, when the database is made. Passwords reach psql by its input, so that no
# list of processes shows them.
set -eu
for role in owner app worker; do
    printf "\\\\set password \`cat /run/secrets/%s\`\nALTER ROLE idp_%s PASSWORD :'password';\n" "$role" "$role"
done | psql --quiet --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$POSTGRES_DB"
