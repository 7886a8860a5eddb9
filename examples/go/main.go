// A member's way through the shop, with the seller beside it: signs up, orders, pays a second order
// with coupon, points, wallet and card, follows it, cancels some of it, and returns some of the
// rest. Says what it does, and fails with one line.
//
//	SELLER_PASSWORD=… client [ADDRESS]
package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"google.golang.org/genproto/googleapis/type/money"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	couponv1 "hansang.example/client/gen/hansang/coupon/v1"
	deliveryv1 "hansang.example/client/gen/hansang/delivery/v1"
	memberv1 "hansang.example/client/gen/hansang/member/v1"
	mypagev1 "hansang.example/client/gen/hansang/mypage/v1"
	orderv1 "hansang.example/client/gen/hansang/order/v1"
	paymentv1 "hansang.example/client/gen/hansang/payment/v1"
	productv1 "hansang.example/client/gen/hansang/product/v1"
)

// Of the second order: how much is ordered, cancelled and returned, and what the wallet pays.
const ordered, cancelled, returned, fromWallet = 10, 2, 1, 500

func main() {
	address := "127.0.0.1:8080"
	if len(os.Args) > 1 {
		address = os.Args[1]
	}
	// Everything together takes no longer than this.
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := run(ctx, address); err != nil {
		if told, ok := status.FromError(err); ok {
			err = fmt.Errorf("%v: %s", told.Code(), told.Message())
		}
		fmt.Fprintf(os.Stderr, "client: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, address string) error {
	conn, err := grpc.Dial(address, grpc.WithInsecure())
	if err != nil {
		return err
	}
	defer conn.Close()

	meal, err := firstOnSale(ctx, conn)
	if err != nil {
		return err
	}
	price := meal.Price.Units
	fmt.Printf("on sale       %s, %d %s\n", meal.DisplayName, price, meal.Price.CurrencyCode)

	me, mine, err := signUp(ctx, conn)
	if err != nil {
		return err
	}
	fmt.Printf("signed up     %s\n", me)

	payments := paymentv1.NewPaymentServiceClient(conn)
	wallet, err := payments.TopUpWallet(once(mine), &paymentv1.TopUpWalletRequest{
		MemberId: me, Amount: won(price + fromWallet), CardToken: "tok_visa",
	})
	if err != nil {
		return err
	}
	fmt.Printf("balance       %d\n", wallet.Balance.Units)

	f := newFollower(conn, me)
	orders := orderv1.NewOrderServiceClient(conn)
	first, err := orderOne(mine, orders, meal)
	if err != nil {
		return err
	}
	if err := f.reaches(mine, first, orderv1.Order_DELIVERING); err != nil {
		return err
	}
	order, err := checkOut(mine, orders, f, meal)
	if err != nil {
		return err
	}
	if err := f.reaches(mine, order, orderv1.Order_DELIVERING); err != nil {
		return err
	}
	if err := cancelSome(mine, orders, f, order, meal); err != nil {
		return err
	}

	members := memberv1.NewMemberServiceClient(conn)
	_, sellers, err := signIn(ctx, members, "seller@hansang.local", os.Getenv("SELLER_PASSWORD"))
	if err != nil {
		return err
	}
	if err := deliver(mine, sellers, conn, f, order); err != nil {
		return err
	}
	if err := giveBack(mine, sellers, conn, f, order, meal); err != nil {
		return err
	}

	wallet, err = payments.GetWallet(mine, &paymentv1.GetWalletRequest{MemberId: me})
	if err != nil {
		return err
	}
	fmt.Printf("balance       %d\n", wallet.Balance.Units)
	if wallet.Balance.Units != fromWallet*(cancelled+returned)/ordered {
		return errors.New("the wallet's share was not paid back")
	}
	return nil
}

func firstOnSale(ctx context.Context, conn *grpc.ClientConn) (*productv1.Product, error) {
	products := productv1.NewProductServiceClient(conn)
	goods, err := products.ListProducts(ctx, &productv1.ListProductsRequest{})
	if err != nil {
		return nil, err
	}
	for _, product := range goods.Products {
		if product.Stock > ordered {
			return product, nil
		}
	}
	return nil, errors.New("nothing is on sale")
}

// signUp answers with a new member's id, and a context that says who calls.
func signUp(ctx context.Context, conn *grpc.ClientConn) (string, context.Context, error) {
	members := memberv1.NewMemberServiceClient(conn)
	email, password := unique()+"@example.com", unique()
	_, err := members.RegisterMember(once(ctx), &memberv1.RegisterMemberRequest{
		Email: email, Password: password, DisplayName: "Me",
	})
	if err != nil {
		return "", nil, err
	}
	return signIn(ctx, members, email, password)
}

func signIn(
	ctx context.Context, members memberv1.MemberServiceClient, email, password string,
) (string, context.Context, error) {
	session, err := members.CreateSession(ctx, &memberv1.CreateSessionRequest{
		Email: email, Password: password,
	})
	if err != nil {
		return "", nil, err
	}
	token := "Bearer " + session.AccessToken
	return session.MemberId, metadata.AppendToOutgoingContext(ctx, "authorization", token), nil
}

// orderOne pays by wallet.
func orderOne(
	mine context.Context, orders orderv1.OrderServiceClient, meal *productv1.Product,
) (string, error) {
	request := &orderv1.PlaceOrderRequest{
		PaymentMethod: orderv1.PaymentMethod_WALLET,
		Lines:         []*orderv1.PlaceOrderRequest_Line{{ProductId: meal.Id, Quantity: 1}},
	}
	mine = once(mine)
	placed, err := orders.PlaceOrder(mine, request)
	if err != nil {
		return "", err
	}
	fmt.Printf("ordered       %s\n", placed.Id)
	// As after an answer that was lost: the same key, and so the same order.
	again, err := orders.PlaceOrder(mine, request)
	if err != nil {
		return "", err
	}
	fmt.Printf("again         %s\n", again.Id)
	if again.Id != placed.Id {
		return "", errors.New("one key has ordered twice")
	}
	return placed.Id, nil
}

// checkOut pays with whatever there is.
func checkOut(
	mine context.Context, orders orderv1.OrderServiceClient, f *follower, meal *productv1.Product,
) (string, error) {
	// Signing up brings a coupon, and an order points, each a moment later.
	err := f.until(mine, func() bool { return f.coupon() != nil && f.page.GetMileageBalance() > 0 })
	if err != nil {
		return "", err
	}
	coupon, points := f.coupon(), f.page.MileageBalance
	fmt.Printf("has           %s, %d points\n", coupon.DisplayName, points)
	placed, err := orders.PlaceOrder(once(mine), &orderv1.PlaceOrderRequest{
		PaymentMethod: orderv1.PaymentMethod_CARD,
		CardToken:     "tok_visa",
		Lines:         []*orderv1.PlaceOrderRequest_Line{{ProductId: meal.Id, Quantity: ordered}},
		CouponId:      coupon.Id,
		Points:        points,
		WalletAmount:  won(fromWallet),
	})
	if err != nil {
		return "", err
	}
	fmt.Printf("ordered       %s\n", placed.Id)
	goods, byCard := placed.GoodsTotal.Units, placed.Payable.Units
	byCoupon, byWallet := placed.CouponDiscount.Units, placed.WalletUsed.Units
	fmt.Printf("receipt       %d = %d coupon + %d points + %d wallet + %d card\n",
		goods, byCoupon, placed.PointsUsed, byWallet, byCard)
	if goods != byCoupon+placed.PointsUsed+byWallet+byCard {
		return "", errors.New("the receipt does not add up")
	}
	return placed.Id, nil
}

func cancelSome(
	mine context.Context, orders orderv1.OrderServiceClient, f *follower, order string,
	meal *productv1.Product,
) error {
	if err := f.require(order, mypagev1.OrderView_CANCEL_LINES); err != nil {
		return err
	}
	left, err := orders.CancelLines(once(mine), &orderv1.CancelLinesRequest{
		OrderId: order,
		Lines:   []*orderv1.Pieces{{ProductId: meal.Id, Quantity: cancelled}},
	})
	if err != nil {
		return err
	}
	line := left.Lines[0]
	fmt.Printf("cancelled     %d of %d\n", line.CancelledQuantity, line.Quantity)
	return nil
}

// deliver does what the seller and a carrier do.
func deliver(
	mine, sellers context.Context, conn *grpc.ClientConn, f *follower, order string,
) error {
	service := deliveryv1.NewDeliveryServiceClient(conn)
	found, err := service.ListDeliveries(sellers, &deliveryv1.ListDeliveriesRequest{OrderId: order})
	if err != nil {
		return err
	}
	if len(found.Deliveries) == 0 {
		return errors.New("the order has no delivery")
	}
	parcel := found.Deliveries[0].Id
	_, err = service.DispatchDelivery(once(sellers), &deliveryv1.DispatchDeliveryRequest{
		DeliveryId: parcel, Carrier: "CJ", TrackingNumber: "6543210",
	})
	if err != nil {
		return err
	}
	dispatched := func() bool { return f.orders[order].GetTrackingNumber() != "" }
	if err := f.until(mine, dispatched); err != nil {
		return err
	}
	view := f.orders[order]
	fmt.Printf("dispatched    %s %s\n", view.Carrier, view.TrackingNumber)
	request := &deliveryv1.MarkDeliveredRequest{DeliveryId: parcel}
	if _, err := service.MarkDelivered(once(sellers), request); err != nil {
		return err
	}
	return f.reaches(mine, order, orderv1.Order_DELIVERED)
}

func giveBack(
	mine, sellers context.Context, conn *grpc.ClientConn, f *follower, order string,
	meal *productv1.Product,
) error {
	if err := f.require(order, mypagev1.OrderView_REQUEST_RETURN); err != nil {
		return err
	}
	returns := orderv1.NewReturnServiceClient(conn)
	asked, err := returns.RequestReturn(once(mine), &orderv1.RequestReturnRequest{
		OrderId: order,
		Lines:   []*orderv1.Pieces{{ProductId: meal.Id, Quantity: returned}},
		Reason:  "Nobody came",
	})
	if err != nil {
		return err
	}
	request := &orderv1.AcceptReturnRequest{ReturnId: asked.Id}
	accepted, err := returns.AcceptReturn(once(sellers), request)
	if err != nil {
		return err
	}
	fmt.Printf("returned      %d: %d won + %d points\n",
		returned, accepted.Refunded.Units, accepted.PointsRestored)
	return nil
}

// follower knows what a member's My Page has said so far.
type follower struct {
	pages       mypagev1.MyPageServiceClient
	me          string
	lastEventID string
	page        *mypagev1.MyPage
	orders      map[string]*mypagev1.OrderView
}

func newFollower(conn *grpc.ClientConn, me string) *follower {
	return &follower{
		pages:  mypagev1.NewMyPageServiceClient(conn),
		me:     me,
		orders: make(map[string]*mypagev1.OrderView),
	}
}

// until watches on from the last message, until what was said is enough.
func (f *follower) until(ctx context.Context, enough func() bool) error {
	// Ends the watch.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	watch, err := f.pages.WatchMyPage(ctx, &mypagev1.WatchMyPageRequest{
		MemberId: f.me, LastEventId: f.lastEventID,
	})
	if err != nil {
		return err
	}
	for !enough() {
		message, err := watch.Recv()
		if err == io.EOF {
			return errors.New("the watch ended")
		} else if err != nil {
			return err
		}
		f.lastEventID = message.EventId
		if message.Page != nil {
			f.page = message.Page
		} else if err := f.see(message.Order); err != nil {
			return err
		}
	}
	return nil
}

// see prints the milestones that an order has passed since it was last seen.
func (f *follower) see(order *mypagev1.OrderView) error {
	seen := len(f.orders[order.OrderId].GetHistory())
	for _, milestone := range order.History[seen:] {
		fmt.Printf("              %v %s\n", milestone.State, milestone.Label)
	}
	f.orders[order.OrderId] = order
	if order.State == orderv1.Order_CANCELLED {
		return fmt.Errorf("the order was cancelled: %v", order.CancelReason)
	}
	return nil
}

func (f *follower) reaches(ctx context.Context, order string, state orderv1.Order_State) error {
	return f.until(ctx, func() bool { return f.orders[order].GetState() == state })
}

// coupon is one that can be redeemed.
func (f *follower) coupon() *couponv1.Coupon {
	for _, coupon := range f.page.GetCoupons() {
		if coupon.State == couponv1.Coupon_ISSUED {
			return coupon
		}
	}
	return nil
}

// require asks what may be done with an order: the shop says, and no rule of it is repeated here.
func (f *follower) require(order string, action mypagev1.OrderView_Action) error {
	for _, allowed := range f.orders[order].GetAllowedActions() {
		if allowed == action {
			return nil
		}
	}
	return fmt.Errorf("the order does not allow %v", action)
}

// once adds a command's key: however often it is sent with it, it takes effect once.
func once(ctx context.Context) context.Context {
	return metadata.AppendToOutgoingContext(ctx, "idempotency-key", unique())
}

func won(units int64) *money.Money {
	return &money.Money{CurrencyCode: "KRW", Units: units}
}

func unique() string {
	bytes := make([]byte, 16)
	if _, err := rand.Read(bytes); err != nil {
		panic(err)
	}
	return hex.EncodeToString(bytes)
}
