-- Which replica runs a consumer is said by an advisory lock: kit/src/database/locks.rs.
alter table checkpoint drop column lease_owner, drop column lease_until;
