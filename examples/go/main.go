// A member's way through the shop: signs up, tops up, orders, follows the order until it is
// being delivered, and cancels it. Says what it does, and fails with one line.
//
//	client [ADDRESS]
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

	memberv1 "hansang.example/client/gen/hansang/member/v1"
	mypagev1 "hansang.example/client/gen/hansang/mypage/v1"
	orderv1 "hansang.example/client/gen/hansang/order/v1"
	paymentv1 "hansang.example/client/gen/hansang/payment/v1"
	productv1 "hansang.example/client/gen/hansang/product/v1"
)

func main() {
	address := "127.0.0.1:8080"
	if len(os.Args) > 1 {
		address = os.Args[1]
	}
	// Everything together takes no longer than this.
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
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
	price := meal.Price
	fmt.Printf("on sale       %s, %d %s\n", meal.DisplayName, price.Units, price.CurrencyCode)

	session, err := signUp(ctx, conn)
	if err != nil {
		return err
	}
	me := session.MemberId
	ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+session.AccessToken)
	fmt.Printf("signed up     %s\n", me)

	payments := paymentv1.NewPaymentServiceClient(conn)
	wallet, err := payments.TopUpWallet(withKey(ctx, unique()), &paymentv1.TopUpWalletRequest{
		MemberId:  me,
		Amount:    &money.Money{CurrencyCode: price.CurrencyCode, Units: price.Units + 500},
		CardToken: "tok_visa",
	})
	if err != nil {
		return err
	}
	toppedUp := wallet.Balance.Units
	fmt.Printf("balance       %d\n", toppedUp)

	orders := orderv1.NewOrderServiceClient(conn)
	order, err := place(ctx, orders, meal)
	if err != nil {
		return err
	}

	f := follower{pages: mypagev1.NewMyPageServiceClient(conn), me: me, order: order.Id}
	if err := f.until(ctx, orderv1.Order_DELIVERING); err != nil {
		return err
	}
	request := &orderv1.CancelOrderRequest{OrderId: order.Id}
	if _, err := orders.CancelOrder(withKey(ctx, unique()), request); err != nil {
		return err
	}
	fmt.Println("cancelled")
	if err := f.until(ctx, orderv1.Order_CANCELLED); err != nil {
		return err
	}

	wallet, err = payments.GetWallet(ctx, &paymentv1.GetWalletRequest{MemberId: me})
	if err != nil {
		return err
	}
	fmt.Printf("balance       %d\n", wallet.Balance.Units)
	if wallet.Balance.Units != toppedUp {
		return errors.New("the order was not paid back")
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
		if product.Stock > 0 {
			return product, nil
		}
	}
	return nil, errors.New("nothing is on sale")
}

func signUp(ctx context.Context, conn *grpc.ClientConn) (*memberv1.Session, error) {
	members := memberv1.NewMemberServiceClient(conn)
	email, password := unique()+"@example.com", unique()
	_, err := members.RegisterMember(withKey(ctx, unique()), &memberv1.RegisterMemberRequest{
		Email: email, Password: password, DisplayName: "Me",
	})
	if err != nil {
		return nil, err
	}
	return members.CreateSession(ctx, &memberv1.CreateSessionRequest{
		Email: email, Password: password,
	})
}

func place(
	ctx context.Context, orders orderv1.OrderServiceClient, meal *productv1.Product,
) (*orderv1.Order, error) {
	request := &orderv1.PlaceOrderRequest{
		PaymentMethod: orderv1.PaymentMethod_WALLET,
		Lines:         []*orderv1.PlaceOrderRequest_Line{{ProductId: meal.Id, Quantity: 1}},
	}
	ctx = withKey(ctx, unique())
	placed, err := orders.PlaceOrder(ctx, request)
	if err != nil {
		return nil, err
	}
	fmt.Printf("ordered       %s\n", placed.Id)
	// As after an answer that was lost: the same key, and so the same order.
	again, err := orders.PlaceOrder(ctx, request)
	if err != nil {
		return nil, err
	}
	fmt.Printf("again         %s\n", again.Id)
	return placed, nil
}

// follower knows what it has seen of an order, and goes on from there.
type follower struct {
	pages       mypagev1.MyPageServiceClient
	me, order   string
	lastEventID string
	milestones  int
}

// until prints each milestone that the order passes, to the one that is waited for.
func (f *follower) until(ctx context.Context, state orderv1.Order_State) error {
	// Ends the watch.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	watch, err := f.pages.WatchMyPage(ctx, &mypagev1.WatchMyPageRequest{
		MemberId: f.me, LastEventId: f.lastEventID,
	})
	if err != nil {
		return err
	}
	for {
		message, err := watch.Recv()
		if err == io.EOF {
			return errors.New("the watch ended")
		} else if err != nil {
			return err
		}
		f.lastEventID = message.EventId
		order := message.Order
		if order.GetOrderId() != f.order {
			continue
		}
		for _, milestone := range order.History[f.milestones:] {
			fmt.Printf("              %v %s\n", milestone.State, milestone.Label)
		}
		f.milestones = len(order.History)
		switch order.State {
		case state:
			return nil
		case orderv1.Order_CANCELLED:
			return fmt.Errorf("the order was cancelled: %v", order.CancelReason)
		}
	}
}

// withKey adds a command's key: however often it is sent with it, it takes effect once.
func withKey(ctx context.Context, key string) context.Context {
	return metadata.AppendToOutgoingContext(ctx, "idempotency-key", key)
}

func unique() string {
	bytes := make([]byte, 16)
	if _, err := rand.Read(bytes); err != nil {
		panic(err)
	}
	return hex.EncodeToString(bytes)
}
