-- A member is told of an order more than once: when it is dispatched, and when it has arrived.
alter table notification add column occasion text not null default '';
alter table notification drop constraint notification_once,
  add constraint notification_once unique (subject_id, audience, occasion);

alter table template drop constraint template_name;
alter table template add constraint template_name check (name in
  ('member-registered', 'payment-approved', 'delivery-dispatched', 'delivery-delivered'));
insert into template (name, body) values
  ('delivery-dispatched', '주문하신 상품이 발송되었습니다. 주문 번호: {orderId}, 택배사: {carrier}, 운송장 번호: {trackingNumber}'),
  ('delivery-delivered', '주문하신 상품이 배송 완료되었습니다. 주문 번호: {orderId}');
