-- What is off sale cannot be ordered.
alter table catalogue add column on_sale boolean not null default true;
