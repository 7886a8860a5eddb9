-- An address is free again once its member has withdrawn; some time later it is erased.
alter table member drop constraint member_email_unique;
create unique index member_email_unique on member (email) where state <> 'WITHDRAWN';

-- Those who have withdrawn before are erased too; not at once, since the version before, which may still
-- run beside this one, does not know how.
insert into task (kind, key, payload, due_at)
select 'erase-member', id, '', greatest(now() + interval '1 hour', withdraw_time + interval '5 days')
from member where state = 'WITHDRAWN'
on conflict do nothing;
