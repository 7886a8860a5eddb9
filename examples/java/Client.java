import com.google.type.Money;
import hansang.member.v1.CreateSessionRequest;
import hansang.member.v1.MemberServiceGrpc;
import hansang.member.v1.RegisterMemberRequest;
import hansang.member.v1.Session;
import hansang.mypage.v1.MyPageServiceGrpc;
import hansang.mypage.v1.OrderView;
import hansang.mypage.v1.WatchMyPageRequest;
import hansang.mypage.v1.WatchMyPageResponse;
import hansang.order.v1.CancelOrderRequest;
import hansang.order.v1.Order;
import hansang.order.v1.OrderServiceGrpc;
import hansang.order.v1.PaymentMethod;
import hansang.order.v1.PlaceOrderRequest;
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
import java.util.Iterator;
import java.util.UUID;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;

/**
 * A member's way through the shop: signs up, tops up, orders, follows the order until it is being
 * delivered, and cancels it. Says what it does, and fails with one line.
 *
 * <pre>java Client [ADDRESS]</pre>
 */
public final class Client {
  /** The shop did what this program does not know how to go on from. */
  private static final class Unexpected extends RuntimeException {
    Unexpected(String message) {
      super(message);
    }
  }

  private final ManagedChannel channel;

  /** Where a watch goes on: the last message, and how many milestones were seen. */
  private String lastEventId = "";

  private int milestones = 0;

  private Client(ManagedChannel channel) {
    this.channel = channel;
  }

  public static void main(String[] args) {
    var address = args.length > 0 ? args[0] : "127.0.0.1:8080";
    var channel = ManagedChannelBuilder.forTarget(address).usePlaintext().build();
    var clock = Executors.newSingleThreadScheduledExecutor();
    String failure = null;
    // Everything together takes no longer than this.
    try (var deadline = Context.current().withDeadlineAfter(30, TimeUnit.SECONDS, clock)) {
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

    Session session = signUp();
    String me = session.getMemberId();
    System.out.printf("signed up     %s%n", me);

    var payments = as(session, PaymentServiceGrpc.newBlockingStub(channel));
    var topUp =
        TopUpWalletRequest.newBuilder()
            .setMemberId(me)
            .setAmount(price.toBuilder().setUnits(price.getUnits() + 500))
            .setCardToken("tok_visa")
            .build();
    Money before = once(payments).topUpWallet(topUp).getBalance();
    System.out.printf("balance       %d%n", before.getUnits());

    var orders = as(session, OrderServiceGrpc.newBlockingStub(channel));
    var request =
        PlaceOrderRequest.newBuilder()
            .setPaymentMethod(PaymentMethod.WALLET)
            .addLines(PlaceOrderRequest.Line.newBuilder().setProductId(meal.getId()).setQuantity(1))
            .build();
    var placing = once(orders);
    String order = placing.placeOrder(request).getId();
    System.out.printf("ordered       %s%n", order);
    // As after an answer that was lost: the same key, and so the same order.
    System.out.printf("again         %s%n", placing.placeOrder(request).getId());

    follow(session, order, Order.State.DELIVERING);
    once(orders).cancelOrder(CancelOrderRequest.newBuilder().setOrderId(order).build());
    System.out.println("cancelled");
    follow(session, order, Order.State.CANCELLED);

    var wallet = GetWalletRequest.newBuilder().setMemberId(me).build();
    Money after = payments.getWallet(wallet).getBalance();
    System.out.printf("balance       %d%n", after.getUnits());
    if (!after.equals(before)) {
      throw new Unexpected("the order was not paid back");
    }
  }

  private Product firstOnSale() {
    var goods =
        ProductServiceGrpc.newBlockingStub(channel)
            .listProducts(ListProductsRequest.getDefaultInstance());
    return goods.getProductsList().stream()
        .filter(product -> product.getStock() > 0)
        .findFirst()
        .orElseThrow(() -> new Unexpected("nothing is on sale"));
  }

  private Session signUp() {
    var members = MemberServiceGrpc.newBlockingStub(channel);
    var email = UUID.randomUUID() + "@example.com";
    var password = UUID.randomUUID().toString();
    once(members)
        .registerMember(
            RegisterMemberRequest.newBuilder()
                .setEmail(email)
                .setPassword(password)
                .setDisplayName("Me")
                .build());
    return members.createSession(
        CreateSessionRequest.newBuilder().setEmail(email).setPassword(password).build());
  }

  /** Prints each milestone that an order passes, to the one that is waited for. */
  private void follow(Session session, String order, Order.State until) {
    var pages = as(session, MyPageServiceGrpc.newBlockingStub(channel));
    var request =
        WatchMyPageRequest.newBuilder()
            .setMemberId(session.getMemberId())
            .setLastEventId(lastEventId)
            .build();
    // What is left of a watch ends with its context.
    try (var watching = Context.current().withCancellation()) {
      watching.run(() -> read(pages.watchMyPage(request), order, until));
    }
  }

  private void read(Iterator<WatchMyPageResponse> watch, String order, Order.State until) {
    while (watch.hasNext()) {
      WatchMyPageResponse message = watch.next();
      lastEventId = message.getEventId();
      OrderView view = message.getOrder();
      if (!view.getOrderId().equals(order)) {
        continue;
      }
      for (; milestones < view.getHistoryCount(); milestones++) {
        var milestone = view.getHistory(milestones);
        System.out.printf("              %s %s%n", milestone.getState(), milestone.getLabel());
      }
      if (view.getState() == until) {
        return;
      }
      if (view.getState() == Order.State.CANCELLED) {
        throw new Unexpected("the order was cancelled: " + view.getCancelReason());
      }
    }
    throw new Unexpected("the watch ended");
  }

  /** Says who calls. */
  private static <S extends AbstractStub<S>> S as(Session session, S stub) {
    return with(stub, "authorization", "Bearer " + session.getAccessToken());
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
