-- Set when the member is WITHDRAWN: their tokens are void from then on.
alter table member add column withdraw_time timestamptz;
update member set withdraw_time = now() where state = 'WITHDRAWN';
alter table member add constraint member_withdraw_time
  check ((state = 'WITHDRAWN') = (withdraw_time is not null));
create index member_by_withdraw_time on member (withdraw_time) where withdraw_time is not null;
