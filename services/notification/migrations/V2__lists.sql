-- One index for a subject's messages and for their being once.
drop index notification_by_subject;
alter table notification drop constraint notification_once,
  add constraint notification_once unique (subject_id, audience);

-- Most messages are for marketing; those for others are found without passing over these.
create index notification_by_audience on notification (audience, id desc)
  where audience <> 'MARKETING';
