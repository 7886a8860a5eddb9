-- Product stored names with the white space around them, a megabyte of it if somebody sent that. The
-- copies are trimmed as product's own are, those in orders while events of these are still to come.
update catalogue set display_name = trimmed.name
from (select product_id, left(btrim(display_name, E' \t\n\u000b\f\r\u0085\u00a0\u1680\u2000\u2001\u2002'
  '\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000'), 200) as name
  from catalogue) trimmed
where catalogue.product_id = trimmed.product_id and display_name <> trimmed.name;

update orders set display_names = (
  select array_agg(left(btrim(name, E' \t\n\u000b\f\r\u0085\u00a0\u1680\u2000\u2001\u2002\u2003\u2004'
    '\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000'), 200) order by at)
  from unnest(display_names) with ordinality as n(name, at))
where state not in ('CLOSED', 'CANCELLED') and octet_length(array_to_string(display_names, '')) > 800
  and exists (select from unnest(display_names) as n(name) where octet_length(name) > 800);
