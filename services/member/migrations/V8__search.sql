-- Members are found by words of their address and name.
create index member_by_words on member using gin (grams(email || e'\n' || display_name));
