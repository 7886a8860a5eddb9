-- What keeps a member from leaving.
create index orders_open on orders (member_id) where state not in ('CLOSED', 'CANCELLED');
