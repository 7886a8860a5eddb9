-- Where members have goods sent. What is deleted is gone: orders have copies of their own.
create table address (
  id uuid primary key,
  member_id uuid not null,
  recipient text not null,
  phone text not null,
  postcode text not null,
  line1 text not null,
  line2 text not null,
  memo text not null,
  create_time timestamptz not null default now()
);
create index address_by_member on address (member_id, id desc);
