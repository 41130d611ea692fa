"""What platforms do to every table that is made in the schema `public`: row-level security, by an event trigger."""

HIDES_NEW_TABLES = """
create function hide() returns event_trigger language plpgsql as $$
declare made record;
begin
  for made in select * from pg_event_trigger_ddl_commands() where object_type = 'table' and schema_name = 'public' loop
    execute format('alter table %s enable row level security', made.object_identity);
  end loop;
end $$;
create event trigger hide on ddl_command_end when tag in ('CREATE TABLE') execute function hide();
"""
