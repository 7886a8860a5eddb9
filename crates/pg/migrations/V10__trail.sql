-- All that a log says of one thing, for whoever asks for its whole story.
create index event_by_correlation on event (correlation_id);
