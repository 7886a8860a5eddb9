-- What was told to whom. A row is a message that was sent: there is no other state.
create table notification (
  id uuid primary key,
  audience text not null constraint notification_audience check (audience in ('ADMIN', 'MARKETING', 'MEMBER')),
  -- A member, or an order.
  subject_id uuid not null,
  body text not null,
  create_time timestamptz not null default now(),
  constraint notification_once unique (audience, subject_id)
);
create index notification_by_subject on notification (subject_id);

create table template (
  name text primary key constraint template_name check (name in ('member-registered', 'payment-approved')),
  body text not null,
  version bigint not null default 1
);

insert into template (name, body) values
  ('member-registered', '새 회원이 가입했습니다. 회원 번호: {memberId}'),
  ('payment-approved', '주문해 주셔서 감사합니다. 결제가 완료되었습니다. 주문 번호: {orderId}, 결제 금액: {amount}');
