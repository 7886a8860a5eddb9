-- Calls to coupon that may be under way; above 0 while the member is WITHDRAWING.
alter table member add column withdrawal_attempts int not null default 0;
alter table member add constraint member_withdrawal_attempts
  check (case state when 'WITHDRAWING' then withdrawal_attempts > 0 else withdrawal_attempts = 0 end);
