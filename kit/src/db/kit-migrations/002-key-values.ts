/**
 * The key-value store. A key holds a value, or a list whose items are rows of their own; a list without items is no row. The
 * functions are one statement each for whoever calls them, so that no lock on a key is held over a round trip.
 */
import { type Kysely, sql } from "kysely"

export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table trestle.key_values (
      -- "C": keys are compared byte by byte, which is faster, and the same under every locale
      key     text collate "C" primary key,
      -- JSON as it was given; null for a list
      value   text,
      -- the positions of the oldest and the newest item of a list
      first   bigint,
      last    bigint,
      expires timestamptz,
      check ((value is null) = (first is not null) and (first is null) = (last is null))
    )`.execute(db)
  await sql`create index on trestle.key_values (expires) where expires is not null`.execute(db)
  await sql`
    create table trestle.list_items (
      key      text collate "C" references trestle.key_values on delete cascade,
      position bigint,
      value    text not null,
      primary key (key, position)
    )`.execute(db)

  // Every change begins with this one, so that what has expired is never looked at.
  await sql`
    create function trestle.kv_forget_expired(name text) returns void language plpgsql as $$
    begin
      delete from trestle.key_values where key = name and expires <= now();
    end $$`.execute(db)
  await sql`
    create function trestle.kv_expiry(lifetime_ms float8) returns timestamptz language sql stable as $$
      select now() + lifetime_ms * interval '1 ms'
    $$`.execute(db)

  await sql`
    create function trestle.kv_set(name text, new_value text, lifetime_ms float8) returns void language plpgsql as $$
    begin
      perform trestle.kv_forget_expired(name);
      insert into trestle.key_values as kept (key, value, expires)
        values (name, new_value, trestle.kv_expiry(lifetime_ms))
        on conflict (key) do update set value = excluded.value, expires = excluded.expires
        where kept.value is not null;
      if not found then raise wrong_object_type; end if;
    end $$`.execute(db)

  await sql`
    create function trestle.kv_swap(name text, new_value text, lifetime_ms float8) returns text language plpgsql as $$
    declare
      former trestle.key_values;
    begin
      loop
        perform trestle.kv_forget_expired(name);
        select * into former from trestle.key_values where key = name for update;
        if found then
          if former.value is null then raise wrong_object_type; end if;
          update trestle.key_values set value = new_value, expires = trestle.kv_expiry(lifetime_ms) where key = name;
          return former.value;
        end if;
        insert into trestle.key_values (key, value, expires)
          values (name, new_value, trestle.kv_expiry(lifetime_ms)) on conflict do nothing;
        if found then return null; end if;
      end loop;
    end $$`.execute(db)

  await sql`
    create function trestle.kv_increment(name text, step bigint, lifetime_ms float8) returns bigint language plpgsql as $$
    declare
      result bigint;
      held trestle.key_values;
    begin
      loop
        perform trestle.kv_forget_expired(name);
        insert into trestle.key_values as kept (key, value, expires)
          values (name, step::text, trestle.kv_expiry(lifetime_ms))
          on conflict (key) do update set value = (kept.value::bigint + step)::text
          where case when kept.value ~ '^-?[0-9]{1,16}$'
            then abs(kept.value::bigint + step) <= 9007199254740991 else false end
          returning value::bigint into result;
        if found then return result; end if;

        select * into held from trestle.key_values where key = name;
        if not found then continue; end if;
        if held.value is null then raise wrong_object_type; end if;
        if held.value !~ '^-?[0-9]+$' then raise invalid_text_representation; end if;
        raise numeric_value_out_of_range;
      end loop;
    end $$`.execute(db)

  // Whoever waits is told only when a list gets its first item: then all look, and nobody waits while there are more.
  // NOTIFY makes commits wait for each other, so the fewer the better.
  await sql`
    create function trestle.kv_append(name text, item text, at_most bigint, lifetime_ms float8)
    returns bigint language plpgsql as $$
    declare
      list trestle.key_values;
    begin
      perform trestle.kv_forget_expired(name);
      insert into trestle.key_values as kept (key, first, last, expires)
        values (name, 1, 1, trestle.kv_expiry(lifetime_ms))
        on conflict (key) do update set
          last = kept.last + 1,
          first = greatest(kept.first, kept.last + 2 - at_most),
          expires = coalesce(excluded.expires, kept.expires)
        where kept.value is null
        returning * into list;
      if not found then raise wrong_object_type; end if;
      insert into trestle.list_items (key, position, value) values (name, list.last, item);
      delete from trestle.list_items where key = name and position < list.first;
      if list.last = 1 then perform pg_notify('trestle_list_appended', name); end if;
      return list.last - list.first + 1;
    end $$`.execute(db)

  await sql`
    create function trestle.kv_pop(name text) returns text language plpgsql as $$
    declare
      list trestle.key_values;
      item text;
    begin
      select * into list from trestle.key_values
        where key = name and (expires is null or expires > now()) for update;
      if not found then return null; end if;
      if list.value is not null then raise wrong_object_type; end if;
      delete from trestle.list_items where key = name and position = list.first returning value into item;
      if list.first = list.last then
        delete from trestle.key_values where key = name;
      else
        update trestle.key_values set first = first + 1 where key = name;
      end if;
      return item;
    end $$`.execute(db)

  await sql`
    create function trestle.kv_put_back(name text, item text) returns void language plpgsql as $$
    declare
      list trestle.key_values;
    begin
      perform trestle.kv_forget_expired(name);
      insert into trestle.key_values as kept (key, first, last) values (name, 1, 1)
        on conflict (key) do update set first = kept.first - 1 where kept.value is null
        returning * into list;
      if not found then raise wrong_object_type; end if;
      insert into trestle.list_items (key, position, value) values (name, list.first, item);
      perform pg_notify('trestle_list_appended', name);
    end $$`.execute(db)
}

export async function down(db: Kysely<unknown>): Promise<void> {
  await sql`
    drop function trestle.kv_set, trestle.kv_swap, trestle.kv_increment, trestle.kv_append, trestle.kv_pop,
      trestle.kv_put_back, trestle.kv_forget_expired, trestle.kv_expiry`.execute(db)
  await sql`drop table trestle.list_items, trestle.key_values`.execute(db)
}
