"""The one change that a record lets through: an erasure takes away who made it."""

from alembic import context, op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Let the application blank a record by a function, and the triggers let that pass."""
    op.execute("""
        CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF TG_OP = 'UPDATE' THEN
                IF OLD.actor_type = 'user' AND OLD.actor_id <> '' AND NEW.actor_id = ''
                    AND to_jsonb(NEW) - 'actor_id' - 'content' = to_jsonb(OLD) - 'actor_id' - 'content'
                THEN
                    RETURN NEW;
                END IF;
            END IF;
            RAISE EXCEPTION 'a stage record never changes' USING ERRCODE = 'restrict_violation';
        END
        $$
    """)
    # It runs with the rights of the tables' owner, who is under row-level security as everybody is.
    op.execute("""
        CREATE FUNCTION blank_stage_record(of_tenant text, of_record uuid, of_person text, blanked bytea) RETURNS void
        LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp
        BEGIN ATOMIC
            UPDATE stage_record SET actor_id = '', content = blanked
            WHERE tenant = of_tenant AND record_id = of_record AND actor_type = 'user' AND actor_id = of_person;
        END
    """)
    op.execute("REVOKE EXECUTE ON FUNCTION blank_stage_record FROM PUBLIC")
    role = context.config.attributes["application_role"]
    op.execute(f'GRANT EXECUTE ON FUNCTION blank_stage_record TO "{role}"')
