-- Products have a picture, by the hash that it is stored under, and are found by words of their name and
-- description. What is searched is not stored a second time: a stock is rewritten often, and stays small.
alter table product add column picture text not null default ''
  constraint product_picture check (picture ~ '^([0-9a-f]{64})?$');
create index product_by_words on product using gin (grams(display_name || e'\n' || description));
