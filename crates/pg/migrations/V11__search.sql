-- Texts are found by the words in them, and by parts of words, in any script: a text is taken apart into its
-- characters and pairs of characters, and an index has them. Trigrams (pg_trgm) would not do: most Korean
-- words are two characters long, and in the C locale it passes over all that is not ASCII.

-- A text as it is compared: in lower case, and composed, as some keyboards send each Hangul syllable in
-- parts.
create function folded(text text) returns text language sql immutable strict parallel safe
  return lower(case when text is nfkc normalized then text else normalize(text, nfkc) end);

-- The characters of a text, and the pairs of which neither is white space. What a text contains, its grams
-- contain.
create function grams(text text) returns text[] language sql immutable strict parallel safe cost 1000
begin atomic
  select coalesce(array_agg(distinct gram), '{}')
  from (select c as first, lead(c) over (order by n) as second
        from unnest(string_to_array(folded(text), null)) with ordinality as t (c, n)) pairs,
    lateral (values (first), (first || second)) as g (gram)
  where gram !~ '\s';
end;

-- Whether each of these words is in the text.
create function has_words(text text, words text[]) returns boolean
  language sql immutable strict parallel safe cost 100
begin atomic
  select bool_and(position(folded(word) in whole.text) > 0)
  from (select folded(text) as text offset 0) whole, unnest(words) as word;
end;
