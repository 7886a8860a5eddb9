-- A part that gave nothing back told of itself, but the payment kept its version: its next event was refused
-- as a second one of that version. Those payments go on from what they have told.
update payment set version = told.version
from (
  select id, (select max(aggregate_version) from event where aggregate_id = payment.id) as version
  from payment
  where exists (
    select from payment_part part
    where part.order_id = payment.order_id and part.amount_minor = 0 and part.wallet_minor = 0
  )
) told
where payment.id = told.id and payment.version < told.version;
