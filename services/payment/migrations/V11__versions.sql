-- A part that gave nothing back told of itself, but the payment kept its version: its next event was refused
-- as a second one of that version. Those payments go on from what they have told.
update payment set version = told.version
from (select aggregate_id, max(aggregate_version) as version from event group by aggregate_id) told
where payment.id = told.aggregate_id and payment.version < told.version;
