-- An address is free again once its member has withdrawn; some time later it is erased.
alter table member drop constraint member_email_unique;
create unique index member_email_unique on member (email) where state <> 'WITHDRAWN';
