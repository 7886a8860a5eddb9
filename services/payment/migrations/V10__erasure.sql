-- Members who are erased: what was still needed of theirs, to pay money back, is erased once it is settled.
create table erased_member (member_id uuid primary key);
