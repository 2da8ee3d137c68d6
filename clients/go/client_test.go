package selfsame_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"selfsame.example/go"
	"selfsame.example/go/digest"
	"selfsame.example/go/internal/served"
	v1 "selfsame.example/go/v1"
)

var quick = selfsame.Retry{Attempts: 4, FirstWait: 10 * time.Millisecond, LongestWait: 20 * time.Millisecond, AttemptTime: 500 * time.Millisecond}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func connected(t *testing.T, server string, options selfsame.Options) *selfsame.Client {
	t.Helper()
	client, err := selfsame.Dial(server, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}

var digester = must(digest.New(must(digest.NewKey("k1", []byte("0123456789abcdefghijklmnopqrstuv")))))

// conversion is a purchase that nothing speaks against, in the campaign that pays at once.
func conversion(name string) *v1.ScreenConversionRequest {
	side := func(of string) *v1.SignalBundle {
		bundle, _ := digester.Bundle(digest.Raw{AccountID: of + "-" + name, Devices: []digest.RawDevice{{Fingerprint: "fp-" + of + "-" + name}}})
		return bundle
	}
	return &v1.ScreenConversionRequest{Conversion: &v1.Conversion{
		ProgramId: "shop", ConversionId: "cv-" + name, CampaignId: "tour", Kind: v1.ConversionKind_CONVERSION_KIND_INVOICE_PAID,
		OccurredAt: timestamppb.New(time.Now().Add(-5 * time.Second)), InvoiceId: "in-" + name, Value: &v1.Money{AmountMinor: 4900, Currency: "EUR"},
		Attribution: &v1.Attribution{CapturedVia: v1.CapturedVia_CAPTURED_VIA_LINK, Ucc: "C-" + name, CodeValidity: v1.CodeValidity_CODE_VALIDITY_VALID.Enum()},
		Rewards:     []*v1.Reward{{RewardId: "rw-" + name, Beneficiary: v1.Side_SIDE_REFERRER, Amount: &v1.Money{AmountMinor: 2000, Currency: "EUR"}}},
		Referrer:    side("referrer"), Referee: side("referee"),
	}}
}

func refusal(code codes.Code, reason selfsame.Reason, retryAfter time.Duration) error {
	details := []protoadapt.MessageV1{&errdetails.ErrorInfo{Reason: string(reason), Domain: "selfsame"}}
	if retryAfter > 0 {
		details = append(details, &errdetails.RetryInfo{RetryDelay: durationpb.New(retryAfter)})
	}
	return must(status.New(code, "as told").WithDetails(details...)).Err()
}

var (
	busy = refusal(codes.ResourceExhausted, selfsame.LedgerBusy, 80*time.Millisecond)
	gone = refusal(codes.Unavailable, selfsame.ShuttingDown, 0)
)

type call struct {
	content []byte
	shown   metadata.MD
}

// scripted is a server that answers in this order: with a message (nil), a refusal, or after a time; and what it was asked.
func scripted(t *testing.T, script ...any) (string, *[]call) {
	t.Helper()
	asked := &[]call{}
	server := grpc.NewServer(grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error {
		request := &emptypb.Empty{}
		if err := stream.RecvMsg(request); err != nil {
			return err
		}
		shown, _ := metadata.FromIncomingContext(stream.Context())
		*asked = append(*asked, call{request.ProtoReflect().GetUnknown(), shown})
		step := script[len(*asked)-1]
		switch answer := step.(type) {
		case error:
			return answer
		case time.Duration:
			time.Sleep(answer)
		}
		return stream.SendMsg(&emptypb.Empty{})
	}))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	return listener.Addr().String(), asked
}

func TestARetryHasTheIDOfTheFirstTryAndWaitsAsItIsTold(t *testing.T) {
	address, asked := scripted(t, busy, gone, 2*time.Second, nil)
	client, began := connected(t, address, selfsame.Options{Retry: quick}), time.Now()
	request := &v1.MarkPaidRequest{ProgramId: "shop", RewardId: "rw", ConversionId: "cv"}
	if _, err := client.Payouts.MarkPaid(context.Background(), request); err != nil || time.Since(began) < 80*time.Millisecond {
		t.Fatal(err, time.Since(began))
	}
	ids := map[string]bool{}
	for _, one := range *asked {
		sent := &v1.MarkPaidRequest{}
		if err := proto.Unmarshal(one.content, sent); err != nil {
			t.Fatal(err)
		}
		ids[sent.GetRequestId()] = true
	}
	if len(*asked) != 4 || len(ids) != 1 || ids[""] || request.GetRequestId() != "" {
		t.Error(len(*asked), ids)
	}
}

func TestAnIDThatWasGivenStays(t *testing.T) {
	address, asked := scripted(t, gone, nil)
	client := connected(t, address, selfsame.Options{Retry: quick})
	if _, err := client.Payouts.MarkFailed(context.Background(), &v1.MarkFailedRequest{RequestId: "mine"}); err != nil {
		t.Fatal(err)
	}
	for _, one := range *asked {
		sent := &v1.MarkFailedRequest{}
		if err := proto.Unmarshal(one.content, sent); err != nil || sent.GetRequestId() != "mine" {
			t.Error(sent, err)
		}
	}
}

func TestWhatIsNotSafeToRepeatOrNotMendedByItIsCalledOnce(t *testing.T) {
	for reason, ask := range map[selfsame.Reason]func(*selfsame.Client) error{
		selfsame.ShuttingDown: func(client *selfsame.Client) error {
			_, err := client.Access.IssueToken(context.Background(), &v1.IssueTokenRequest{})
			return err
		},
		selfsame.MessageTooLarge: func(client *selfsame.Client) error {
			_, err := client.Screening.GetDecision(context.Background(), &v1.GetDecisionRequest{})
			return err
		},
	} {
		code := codes.ResourceExhausted
		if reason == selfsame.ShuttingDown {
			code = codes.Unavailable
		}
		address, asked := scripted(t, refusal(code, reason, 0), nil)
		err := ask(connected(t, address, selfsame.Options{Retry: quick}))
		if selfsame.ReasonOf(err) != reason || status.Code(err) != code || len(*asked) != 1 {
			t.Error(err, len(*asked))
		}
	}
}

func TestRetriesEndWithTheAttemptsAndWithTheDeadline(t *testing.T) {
	address, asked := scripted(t, gone, gone, gone, gone, gone)
	_, err := connected(t, address, selfsame.Options{Retry: quick}).Screening.GetDecision(context.Background(), &v1.GetDecisionRequest{})
	var refused *selfsame.Error
	if !errors.As(err, &refused) || !refused.IsOutcomeUnknown() || len(*asked) != 4 {
		t.Error(err, len(*asked))
	}
	address, asked = scripted(t, refusal(codes.ResourceExhausted, selfsame.LedgerBusy, time.Minute), nil)
	began := time.Now()
	_, err = connected(t, address, selfsame.Options{Retry: quick, Timeout: 20 * time.Second}).Screening.GetDecision(context.Background(), &v1.GetDecisionRequest{})
	if !errors.As(err, &refused) || refused.RetryAfter != time.Minute || len(*asked) != 1 || time.Since(began) > 10*time.Second {
		t.Error(err, len(*asked))
	}
}

func TestEachTryShowsTheTokenOfThen(t *testing.T) {
	address, asked := scripted(t, gone, nil)
	tokens := []string{"one", "two"}
	token := func(context.Context) (string, error) {
		next := tokens[0]
		tokens = tokens[1:]
		return next, nil
	}
	client := connected(t, address, selfsame.Options{Retry: quick, Token: token, Actor: "rita"})
	if _, err := client.Screening.GetDecision(context.Background(), &v1.GetDecisionRequest{}); err != nil {
		t.Fatal(err)
	}
	shown := []string{(*asked)[0].shown["authorization"][0], (*asked)[1].shown["authorization"][0], (*asked)[1].shown["selfsame-actor"][0]}
	if !reflect.DeepEqual(shown, []string{"Bearer one", "Bearer two", "rita"}) {
		t.Error(shown)
	}
	if _, err := selfsame.Dial("http://selfsame.example:50051", selfsame.Options{Token: selfsame.Static("secret")}); err == nil {
		t.Error("a token is sent in plaintext beyond loopback")
	}
}

func TestWhatTheServerRefusesIsTyped(t *testing.T) {
	client, ctx := connected(t, served.Start(t), selfsame.Options{Actor: "tests"}), context.Background()
	request := conversion("same")
	first, err := client.Screening.ScreenConversion(ctx, request)
	if err != nil || first.GetReplayed() {
		t.Fatal(first, err)
	}
	second, err := client.Screening.ScreenConversion(ctx, request)
	if err != nil || !second.GetReplayed() || !proto.Equal(first.GetDecision(), second.GetDecision()) {
		t.Error(second, err)
	}
	request.Conversion.Value.AmountMinor = 1
	_, err = client.Screening.ScreenConversion(ctx, request)
	var refused *selfsame.Error
	if !errors.As(err, &refused) || refused.Reason != selfsame.ContentDiffers || refused.Violations[0].Field != "conversion.value.amount_minor" {
		t.Error(err)
	}
	bad := conversion("bad")
	bad.Conversion.Kind, bad.Conversion.ConversionId = 0, ""
	_, err = client.Screening.ScreenConversion(ctx, bad)
	if !errors.As(err, &refused) || refused.Reason != selfsame.InvalidFields || len(refused.Violations) != 2 || !strings.Contains(err.Error(), "conversion.kind") {
		t.Error(err)
	}
	_, err = client.Screening.GetDecision(ctx, &v1.GetDecisionRequest{ProgramId: "shop", ConversionId: "nobody"})
	if selfsame.ReasonOf(err) != selfsame.NotKnown {
		t.Error(err)
	}
}

func TestTheFeedGoesOnFromACursorWithoutAGap(t *testing.T) {
	client, ctx := connected(t, served.Start(t), selfsame.Options{Actor: "tests"}), context.Background()
	for _, name := range []string{"0", "1", "2"} {
		if _, err := client.Screening.ScreenConversion(ctx, conversion(name)); err != nil {
			t.Fatal(err)
		}
	}
	ids := func(cursor string) (ids, cursors []string) {
		for message, err := range client.Follow(ctx, "shop", cursor, true, nil) {
			if err != nil {
				t.Fatal(err)
			}
			for _, event := range message.GetEvents() {
				ids, cursors = append(ids, event.GetConversionId()), append(cursors, event.GetCursor())
			}
		}
		return ids, cursors
	}
	all, cursors := ids("")
	at := slices.Index(all, "cv-1")
	if rest, _ := ids(cursors[at]); at < 0 || !reflect.DeepEqual(rest, all[at+1:]) {
		t.Error(all, rest)
	}
	go func() { _, _ = client.Screening.ScreenConversion(ctx, conversion("new")) }()
	for message, err := range client.Follow(ctx, "shop", cursors[len(cursors)-1], false, nil) {
		if err != nil {
			t.Fatal(err)
		}
		if len(message.GetEvents()) > 0 {
			if id := message.GetEvents()[0].GetConversionId(); id != "cv-new" {
				t.Error(id)
			}
			break
		}
	}
	for _, err := range client.Follow(ctx, "shop", "7-0123456789abcdef", false, nil) {
		if selfsame.ReasonOf(err) != selfsame.CursorOfAnotherLedger {
			t.Error(err)
		}
	}
}

func TestAServerThatAsksIsShownATokenByTLS(t *testing.T) {
	address, ca, file := served.StartGuarded(t)
	trusted := x509.NewCertPool()
	trusted.AppendCertsFromPEM(must(os.ReadFile(ca)))
	token := strings.TrimSpace(string(must(os.ReadFile(file))))
	ask := func(options selfsame.Options) (string, error) {
		options.Retry, options.Timeout = quick, 3*time.Second
		client := connected(t, "https://"+address, options)
		answer, err := client.Access.WhoAmI(context.Background(), &v1.WhoAmIRequest{})
		if err == nil {
			_, err = client.Screening.ScreenConversion(context.Background(), conversion("guarded"))
		}
		return answer.GetIdentity().GetName(), err
	}
	name, err := ask(selfsame.Options{TLS: &tls.Config{RootCAs: trusted}, Token: selfsame.Static(token)})
	if name != "admin" || selfsame.ReasonOf(err) != selfsame.NotPermitted {
		t.Error(name, err)
	}
	if _, err = ask(selfsame.Options{TLS: &tls.Config{RootCAs: trusted}, Token: selfsame.Static("selfsame_wrong")}); selfsame.ReasonOf(err) != selfsame.NotAuthenticated {
		t.Error(err)
	}
	if _, err = ask(selfsame.Options{Token: selfsame.Static(token)}); status.Code(err) != codes.Unavailable {
		t.Error(err)
	}
}

func TestNobodyThereIsUnavailableAndToldInTime(t *testing.T) {
	client, began := connected(t, "127.0.0.1:9", selfsame.Options{Retry: quick, Timeout: 2 * time.Second}), time.Now()
	_, err := client.Screening.GetDecision(context.Background(), &v1.GetDecisionRequest{})
	var refused *selfsame.Error
	if !errors.As(err, &refused) || refused.Code != codes.Unavailable || !refused.IsTransient() || time.Since(began) > 3*time.Second {
		t.Error(err)
	}
	if _, err := selfsame.Dial("ftp://127.0.0.1:9", selfsame.Options{}); err == nil {
		t.Error("a server of another scheme is taken")
	}
}

func TestTheReasonsAreThoseOfTheDocument(t *testing.T) {
	find := func(file, pattern string) (found []string) {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range regexp.MustCompile(pattern).FindAllSubmatch(content, -1) {
			found = append(found, string(match[1]))
		}
		slices.Sort(found)
		return found
	}
	stated := find(served.File("docs/errors.md"), "(?m)^\\| `[A-Z_]+` \\| `([A-Z_]+)` \\|")
	known := find("errors.go", `Reason = "([A-Z_]+)"`)
	if len(stated) < 30 || !reflect.DeepEqual(stated, known) {
		t.Errorf("stated %v, known %v", stated, known)
	}
}
