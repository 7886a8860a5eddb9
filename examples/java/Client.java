import com.google.type.Money;
import hansang.coupon.v1.Coupon;
import hansang.delivery.v1.DeliveryServiceGrpc;
import hansang.delivery.v1.DispatchDeliveryRequest;
import hansang.delivery.v1.ListDeliveriesRequest;
import hansang.delivery.v1.MarkDeliveredRequest;
import hansang.member.v1.CreateSessionRequest;
import hansang.member.v1.MemberServiceGrpc;
import hansang.member.v1.RegisterMemberRequest;
import hansang.mypage.v1.MyPage;
import hansang.mypage.v1.MyPageServiceGrpc;
import hansang.mypage.v1.OrderView;
import hansang.mypage.v1.WatchMyPageRequest;
import hansang.mypage.v1.WatchMyPageResponse;
import hansang.order.v1.AcceptReturnRequest;
import hansang.order.v1.CancelLinesRequest;
import hansang.order.v1.Order;
import hansang.order.v1.OrderLine;
import hansang.order.v1.OrderServiceGrpc;
import hansang.order.v1.OrderServiceGrpc.OrderServiceBlockingStub;
import hansang.order.v1.PaymentMethod;
import hansang.order.v1.Pieces;
import hansang.order.v1.PlaceOrderRequest;
import hansang.order.v1.RequestReturnRequest;
import hansang.order.v1.Return;
import hansang.order.v1.ReturnServiceGrpc;
import hansang.payment.v1.GetWalletRequest;
import hansang.payment.v1.PaymentServiceGrpc;
import hansang.payment.v1.TopUpWalletRequest;
import hansang.product.v1.ListProductsRequest;
import hansang.product.v1.Product;
import hansang.product.v1.ProductServiceGrpc;
import io.grpc.Context;
import io.grpc.ManagedChannel;
import io.grpc.ManagedChannelBuilder;
import io.grpc.Metadata;
import io.grpc.StatusRuntimeException;
import io.grpc.stub.AbstractStub;
import io.grpc.stub.MetadataUtils;
import java.util.HashMap;
import java.util.Iterator;
import java.util.Map;
import java.util.Optional;
import java.util.UUID;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;

/**
 * A member's way through the shop, with the seller beside it: signs up, orders, pays a second order
 * with coupon, points, wallet and card, follows it, cancels some of it, and returns some of the
 * rest. Says what it does, and fails with one line.
 *
 * <pre>SELLER_PASSWORD=... java Client [ADDRESS]</pre>
 */
public final class Client {
  /** Of the second order: how much is ordered, cancelled and returned, and what the wallet pays. */
  private static final int ORDERED = 10, CANCELLED = 2, RETURNED = 1, FROM_WALLET = 500;

  /** The shop did what this program does not know how to go on from. */
  private static final class Unexpected extends RuntimeException {
    Unexpected(String message) {
      super(message);
    }
  }

  /** Somebody who is signed in. */
  private record Caller(String id, String token) {
    /** Says who calls. */
    <S extends AbstractStub<S>> S with(S stub) {
      return Client.with(stub, "authorization", "Bearer " + token);
    }
  }

  private final ManagedChannel channel;

  private Client(ManagedChannel channel) {
    this.channel = channel;
  }

  public static void main(String[] args) {
    var address = args.length > 0 ? args[0] : "127.0.0.1:8080";
    var channel = ManagedChannelBuilder.forTarget(address).usePlaintext().build();
    var clock = Executors.newSingleThreadScheduledExecutor();
    String failure = null;
    // Everything together takes no longer than this.
    try (var deadline = Context.current().withDeadlineAfter(60, TimeUnit.SECONDS, clock)) {
      deadline.run(new Client(channel)::run);
    } catch (StatusRuntimeException e) {
      Throwable cause = e.getCause();
      String why = cause == null ? "" : " (" + cause.getMessage() + ")";
      failure = e.getStatus().getCode() + ": " + e.getStatus().getDescription() + why;
    } catch (Unexpected e) {
      failure = e.getMessage();
    }
    channel.shutdownNow();
    clock.shutdownNow();
    if (failure != null) {
      System.err.println("client: " + failure);
      System.exit(1);
    }
  }

  private void run() {
    Product meal = firstOnSale();
    Money price = meal.getPrice();
    System.out.printf(
        "on sale       %s, %d %s%n",
        meal.getDisplayName(), price.getUnits(), price.getCurrencyCode());

    Caller me = signUp();
    System.out.printf("signed up     %s%n", me.id);

    var payments = me.with(PaymentServiceGrpc.newBlockingStub(channel));
    var topUp =
        TopUpWalletRequest.newBuilder()
            .setMemberId(me.id)
            .setAmount(won(price.getUnits() + FROM_WALLET))
            .setCardToken("tok_visa")
            .build();
    Money balance = once(payments).topUpWallet(topUp).getBalance();
    System.out.printf("balance       %d%n", balance.getUnits());

    var orders = me.with(OrderServiceGrpc.newBlockingStub(channel));
    var mine = new Follower(me);
    mine.reaches(orderOne(orders, meal), Order.State.DELIVERING);
    String order = checkOut(orders, mine, meal);
    mine.reaches(order, Order.State.DELIVERING);

    mine.require(order, OrderView.Action.CANCEL_LINES);
    var some = CancelLinesRequest.newBuilder().setOrderId(order).addLines(pieces(meal, CANCELLED));
    OrderLine line = once(orders).cancelLines(some.build()).getLines(0);
    System.out.printf("cancelled     %d of %d%n", line.getCancelledQuantity(), line.getQuantity());

    String password = System.getenv().getOrDefault("SELLER_PASSWORD", "");
    Caller seller = signIn("seller@hansang.local", password);
    deliver(seller, mine, order);

    mine.require(order, OrderView.Action.REQUEST_RETURN);
    giveBack(me, seller, order, pieces(meal, RETURNED));

    var wallet = GetWalletRequest.newBuilder().setMemberId(me.id).build();
    balance = payments.getWallet(wallet).getBalance();
    System.out.printf("balance       %d%n", balance.getUnits());
    if (balance.getUnits() != FROM_WALLET * (CANCELLED + RETURNED) / ORDERED) {
      throw new Unexpected("the wallet's share was not paid back");
    }
  }

  private Product firstOnSale() {
    var goods =
        ProductServiceGrpc.newBlockingStub(channel)
            .listProducts(ListProductsRequest.getDefaultInstance());
    return goods.getProductsList().stream()
        .filter(product -> product.getStock() > ORDERED)
        .findFirst()
        .orElseThrow(() -> new Unexpected("nothing is on sale"));
  }

  private Caller signUp() {
    var email = UUID.randomUUID() + "@example.com";
    var password = UUID.randomUUID().toString();
    once(MemberServiceGrpc.newBlockingStub(channel))
        .registerMember(
            RegisterMemberRequest.newBuilder()
                .setEmail(email)
                .setPassword(password)
                .setDisplayName("Me")
                .build());
    return signIn(email, password);
  }

  private Caller signIn(String email, String password) {
    var request = CreateSessionRequest.newBuilder().setEmail(email).setPassword(password).build();
    var session = MemberServiceGrpc.newBlockingStub(channel).createSession(request);
    return new Caller(session.getMemberId(), session.getAccessToken());
  }

  /** By wallet. */
  private String orderOne(OrderServiceBlockingStub orders, Product meal) {
    var request =
        PlaceOrderRequest.newBuilder()
            .setPaymentMethod(PaymentMethod.WALLET)
            .addLines(PlaceOrderRequest.Line.newBuilder().setProductId(meal.getId()).setQuantity(1))
            .build();
    var placing = once(orders);
    String order = placing.placeOrder(request).getId();
    System.out.printf("ordered       %s%n", order);
    // As after an answer that was lost: the same key, and so the same order.
    String again = placing.placeOrder(request).getId();
    System.out.printf("again         %s%n", again);
    if (!again.equals(order)) {
      throw new Unexpected("one key has ordered twice");
    }
    return order;
  }

  /** Pays with whatever there is. */
  private String checkOut(OrderServiceBlockingStub orders, Follower mine, Product meal) {
    // Signing up brings a coupon, and an order points, each a moment later.
    mine.until(() -> mine.coupon().isPresent() && mine.page.getMileageBalance() > 0);
    Coupon coupon = mine.coupon().orElseThrow();
    long points = mine.page.getMileageBalance();
    System.out.printf("has           %s, %d points%n", coupon.getDisplayName(), points);
    var line = PlaceOrderRequest.Line.newBuilder().setProductId(meal.getId()).setQuantity(ORDERED);
    var request =
        PlaceOrderRequest.newBuilder()
            .setPaymentMethod(PaymentMethod.CARD)
            .setCardToken("tok_visa")
            .addLines(line)
            .setCouponId(coupon.getId())
            .setPoints(points)
            .setWalletAmount(won(FROM_WALLET))
            .build();
    Order placed = once(orders).placeOrder(request);
    System.out.printf("ordered       %s%n", placed.getId());
    long goods = placed.getGoodsTotal().getUnits();
    long byCoupon = placed.getCouponDiscount().getUnits();
    long byWallet = placed.getWalletUsed().getUnits();
    long byCard = placed.getPayable().getUnits();
    System.out.printf(
        "receipt       %d = %d coupon + %d points + %d wallet + %d card%n",
        goods, byCoupon, placed.getPointsUsed(), byWallet, byCard);
    if (goods != byCoupon + placed.getPointsUsed() + byWallet + byCard) {
      throw new Unexpected("the receipt does not add up");
    }
    return placed.getId();
  }

  /** What the seller and a carrier do. */
  private void deliver(Caller seller, Follower mine, String order) {
    var service = seller.with(DeliveryServiceGrpc.newBlockingStub(channel));
    var request = ListDeliveriesRequest.newBuilder().setOrderId(order).build();
    String parcel =
        service.listDeliveries(request).getDeliveriesList().stream()
            .findFirst()
            .orElseThrow(() -> new Unexpected("the order has no delivery"))
            .getId();
    once(service)
        .dispatchDelivery(
            DispatchDeliveryRequest.newBuilder()
                .setDeliveryId(parcel)
                .setCarrier("CJ")
                .setTrackingNumber("6543210")
                .build());
    mine.until(() -> !mine.order(order).getTrackingNumber().isEmpty());
    OrderView view = mine.order(order);
    System.out.printf("dispatched    %s %s%n", view.getCarrier(), view.getTrackingNumber());
    once(service).markDelivered(MarkDeliveredRequest.newBuilder().setDeliveryId(parcel).build());
    mine.reaches(order, Order.State.DELIVERED);
  }

  private void giveBack(Caller me, Caller seller, String order, Pieces pieces) {
    var returns = ReturnServiceGrpc.newBlockingStub(channel);
    var request =
        RequestReturnRequest.newBuilder()
            .setOrderId(order)
            .addLines(pieces)
            .setReason("Nobody came")
            .build();
    String asked = once(me.with(returns)).requestReturn(request).getId();
    var accept = AcceptReturnRequest.newBuilder().setReturnId(asked).build();
    Return accepted = once(seller.with(returns)).acceptReturn(accept);
    System.out.printf(
        "returned      %d: %d won + %d points%n",
        pieces.getQuantity(), accepted.getRefunded().getUnits(), accepted.getPointsRestored());
  }

  /** What a member's My Page has said so far. */
  private final class Follower {
    private final Caller me;
    private String lastEventId = "";
    private MyPage page = MyPage.getDefaultInstance();
    private final Map<String, OrderView> orders = new HashMap<>();

    Follower(Caller me) {
      this.me = me;
    }

    /** Watches on from the last message, until what was said is enough. */
    void until(BooleanSupplier enough) {
      var pages = me.with(MyPageServiceGrpc.newBlockingStub(channel));
      var request =
          WatchMyPageRequest.newBuilder().setMemberId(me.id).setLastEventId(lastEventId).build();
      // What is left of a watch ends with its context.
      try (var watching = Context.current().withCancellation()) {
        watching.run(() -> read(pages.watchMyPage(request), enough));
      }
    }

    private void read(Iterator<WatchMyPageResponse> watch, BooleanSupplier enough) {
      while (!enough.getAsBoolean()) {
        if (!watch.hasNext()) {
          throw new Unexpected("the watch ended");
        }
        WatchMyPageResponse message = watch.next();
        lastEventId = message.getEventId();
        if (message.hasPage()) {
          page = message.getPage();
        } else {
          see(message.getOrder());
        }
      }
    }

    /** Prints the milestones that an order has passed since it was last seen. */
    private void see(OrderView view) {
      int seen = order(view.getOrderId()).getHistoryCount();
      for (var milestone : view.getHistoryList().subList(seen, view.getHistoryCount())) {
        System.out.printf("              %s %s%n", milestone.getState(), milestone.getLabel());
      }
      orders.put(view.getOrderId(), view);
      if (view.getState() == Order.State.CANCELLED) {
        throw new Unexpected("the order was cancelled: " + view.getCancelReason());
      }
    }

    OrderView order(String id) {
      return orders.getOrDefault(id, OrderView.getDefaultInstance());
    }

    void reaches(String order, Order.State state) {
      until(() -> order(order).getState() == state);
    }

    /** One that can be redeemed. */
    Optional<Coupon> coupon() {
      return page.getCouponsList().stream()
          .filter(coupon -> coupon.getState() == Coupon.State.ISSUED)
          .findFirst();
    }

    /** What may be done with an order, the shop says: no rule of it is repeated here. */
    void require(String order, OrderView.Action action) {
      if (!order(order).getAllowedActionsList().contains(action)) {
        throw new Unexpected("the order does not allow " + action);
      }
    }
  }

  private static Money won(long units) {
    return Money.newBuilder().setCurrencyCode("KRW").setUnits(units).build();
  }

  private static Pieces pieces(Product meal, int quantity) {
    return Pieces.newBuilder().setProductId(meal.getId()).setQuantity(quantity).build();
  }

  /** A command's key: however often it is sent with it, it takes effect once. */
  private static <S extends AbstractStub<S>> S once(S stub) {
    return with(stub, "idempotency-key", UUID.randomUUID().toString());
  }

  private static <S extends AbstractStub<S>> S with(S stub, String key, String value) {
    var metadata = new Metadata();
    metadata.put(Metadata.Key.of(key, Metadata.ASCII_STRING_MARSHALLER), value);
    return stub.withInterceptors(MetadataUtils.newAttachHeadersInterceptor(metadata));
  }
}
