-- The rows of one wallet saga, as all services together leave them, in one transaction of one
-- database: what a shop without services would do. Positions, checkpoints and the sequencer, which
-- only services need, are left out. As good as it gets: each client is another member, products are
-- more than clients, and one round trip has it all, so that no lock is held while the client thinks.
\set member :client_id + 1
\set product random(1, 200)
select gen_random_uuid() as order_id, gen_random_uuid() as payment_id, gen_random_uuid() as ledger_id,
       gen_random_uuid() as delivery_id, gen_random_uuid() as mileage_id, gen_random_uuid() as notification_id,
       lpad(:member::text, 32, '0') as member_id, lpad(:product::text, 32, '0') as product_id \gset
\startpipeline
begin;
insert into idempotency (caller, method, key, request_hash, resource_id, response)
values (:member_id::text, '/hansang.order.v1.OrderService/PlaceOrder', :order_id::text, decode(repeat('ab', 32), 'hex'), :order_id::uuid, decode(repeat('ab', 150), 'hex'));
insert into orders (id, member_id, method, total_minor, currency, product_ids, display_names, quantities,
                    unit_prices_minor, paid, stock_decreased, delivery_started, payment_id, state, told, version, event_version)
values (:order_id::uuid, :member_id::uuid, 'WALLET', 1000, 'KRW', array[:product_id::uuid], array['Bibimbap'], array[1],
        array[1000], true, true, true, :payment_id::uuid, 'DELIVERING', 'DELIVERING', 4, 4);
insert into payment (id, order_id, member_id, method, amount_minor, currency, state, product_ids, quantities, version)
values (:payment_id::uuid, :order_id::uuid, :member_id::uuid, 'WALLET', 1000, 'KRW', 'DONE', array[:product_id::uuid], array[1], 1);
update wallet set balance_minor = balance_minor - 1000, version = version + 1 where member_id = :member_id::uuid;
insert into ledger_transaction (id, kind, order_id) values (:ledger_id::uuid, 'PAYMENT', :order_id::uuid);
insert into ledger_entry (transaction_id, account, member_id, amount_minor)
values (:ledger_id::uuid, 'WALLET', :member_id::uuid, -1000), (:ledger_id::uuid, 'SALES', null, 1000);
update product set stock = stock - 1, version = version + 1 where id = :product_id::uuid;
insert into allocation (order_id, member_id, state, product_ids, quantities, version)
values (:order_id::uuid, :member_id::uuid, 'DECREASED', array[:product_id::uuid], array[1], 1);
insert into stock_movement (product_id, kind, quantity, order_id) values (:product_id::uuid, 'DECREASED', -1, :order_id::uuid);
insert into delivery (id, order_id, member_id, state, version)
values (:delivery_id::uuid, :order_id::uuid, :member_id::uuid, 'STARTED', 1);
insert into mileage_entry (id, payment_id, order_id, member_id, points, state, version)
values (:mileage_id::uuid, :payment_id::uuid, :order_id::uuid, :member_id::uuid, 10, 'EARNED', 1);
insert into notification (id, audience, subject_id, body)
values (:notification_id::uuid, 'MARKETING', :order_id::uuid, repeat('주문', 30));
insert into order_view (order_id, member_id, state, placed, payment_state, payment_version, delivery_state, delivery_version, change)
values (:order_id::uuid, :member_id::uuid, 'DELIVERING', decode(repeat('ab', 80), 'hex'), 'DONE', 1, 'STARTED', 1, 7);
insert into milestone (order_id, state, version, at, trace_id)
select :order_id::uuid, state, version, now(), '0123456789abcdef0123456789abcdef'
from unnest(array['PLACED', 'PAID', 'PREPARED', 'DELIVERING']) with ordinality as passed (state, version);
insert into mileage_view (entry_id, payment_id, order_id, member_id, points, cancelled, create_time)
values (:mileage_id::uuid, :payment_id::uuid, :order_id::uuid, :member_id::uuid, 10, false, now());
update member_view set change = change + 7, page_change = page_change + 7 where member_id = :member_id::uuid;
insert into event (event_id, aggregate_id, aggregate_version, partition, type, correlation_id, headers, payload)
select gen_random_uuid(), aggregate::uuid, version, 1, type, :order_id::uuid,
       '{"traceparent": "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01"}', decode(repeat('ab', size), 'hex')
from (values (:order_id::text, 1, 'OrderPlaced', 147), (:order_id::text, 2, 'OrderPaid', 173), (:order_id::text, 3, 'OrderPrepared', 135),
  (:order_id::text, 4, 'OrderDelivering', 79), (:payment_id::text, 1, 'PaymentApproved', 129), (:ledger_id::text, 1, 'StockDecreased', 121),
  (:delivery_id::text, 1, 'DeliveryStarted', 117), (:mileage_id::text, 1, 'MileageEarned', 158), (:notification_id::text, 1, 'NotificationSent', 81))
  as told (aggregate, version, type, size);
commit;
\endpipeline
