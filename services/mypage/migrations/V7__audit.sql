-- What people of the shop did by hand. The id is that of the event which said so.
create table audit_entry (
  id uuid primary key,
  actor_id uuid not null,
  action text not null constraint audit_entry_action check (action in ('WALLET_ADJUSTED',
    'DEPOSIT_MATCHED', 'DEPOSIT_REFUNDED', 'DEPOSIT_CREDITED', 'ORDER_CANCELLED', 'ROLE_GRANTED',
    'ROLE_REVOKED', 'STOCK_ADJUSTED')),
  subject_id uuid not null,
  reason text not null,
  change text not null,
  create_time timestamptz not null
);
create index audit_entry_by_actor on audit_entry (actor_id, id desc);
create index audit_entry_by_subject on audit_entry (subject_id, id desc);
