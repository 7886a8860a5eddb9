-- Units beyond what `stock` can count: cancelled orders gave them back after a restock. The units on
-- hand are the sum of both. A column of its own, so that the previous version works beside this one.
alter table product add column surplus bigint not null default 0
  constraint product_surplus_not_negative check (surplus >= 0);

-- Names were judged without the white space around them, and stored with it.
update product set display_name = trimmed.name
from (select id, left(btrim(display_name, E' \t\n\u000b\f\r\u0085\u00a0\u1680\u2000\u2001\u2002\u2003'
  '\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000'), 200) as name
  from product) trimmed
where product.id = trimmed.id and display_name <> trimmed.name;
