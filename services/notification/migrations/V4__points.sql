-- A member is told that points of theirs expire soon.
alter table template drop constraint template_name;
alter table template add constraint template_name check (name in
  ('member-registered', 'payment-approved', 'delivery-dispatched', 'delivery-delivered', 'points-expiring'));
insert into template (name, body) values
  ('points-expiring', '곧 소멸되는 포인트가 있습니다. 소멸 예정 포인트: {points}, 가장 빠른 소멸일: {before}');
