-- When the member last lost a role: tokens issued by then are void.
alter table member add column role_revoke_time timestamptz;
create index member_by_role_revoke_time on member (role_revoke_time) where role_revoke_time is not null;
