// Package selfsame is a client of Selfsame: calls that are repeated only where that is harmless, payouts that survive a crash, webhooks. The messages
// of the contract are in selfsame.example/go/v1, digests in selfsame.example/go/digest.
package selfsame

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"io"
	"iter"
	mathrand "math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"

	selfsamev1 "selfsame.example/go/v1"
)

const (
	heartbeat = 15 * time.Second
	// A feed that is silent for so long is dead: then it is followed from its last cursor again.
	silence = 3 * heartbeat
)

var (
	reads = []string{"Get", "List", "Check", "Preview", "WhoAmI"}
	// Known by an id of their own, which the request needs.
	named = []string{"ScreenConversion", "RecordSignals", "RecordOutcome", "ReservePayouts"}
)

// Retry is how often, and how long apart. A wait is drawn between nothing and a bound that doubles, after what the server asks for (RetryInfo).
type Retry struct {
	Attempts               int
	FirstWait, LongestWait time.Duration
	AttemptTime            time.Duration
}

// Options are how a server is called. The zero value calls it without a token.
type Options struct {
	// Token gives the token for each call, so that it can be exchanged; nil for none.
	Token func(context.Context) (string, error)
	// Actor is who calls, where nobody is asked.
	Actor string
	// TLS is whom to trust and what to show; nil for what the machine trusts.
	TLS *tls.Config
	// Timeout is for a call with all of its retries, where the context has no deadline. 0 means 30 seconds.
	Timeout time.Duration
	// Retry is how calls are repeated; the zero value means 6 attempts of at most 10 seconds, 0.1 to 5 seconds apart.
	Retry Retry
	// Dial are further options of the connection.
	Dial []grpc.DialOption
}

// Client is a connection to a server; one is enough for a process, and many may use it at a time.
//
// Unary methods of its services are repeated where that is safe, and return an *Error.
type Client struct {
	Screening     selfsamev1.ScreeningServiceClient
	Payouts       selfsamev1.PayoutServiceClient
	Access        selfsamev1.AccessServiceClient
	Confirmations selfsamev1.ConfirmationServiceClient
	connection    *grpc.ClientConn
	options       Options
}

// Static is a token that stays the same.
func Static(token string) func(context.Context) (string, error) {
	return func(context.Context) (string, error) { return token, nil }
}

// Dial is a client of a server: `https://host:port`, `http://host:port`, or `host:port`, which is TLS but on loopback. It connects with the first call.
func Dial(server string, options Options) (*Client, error) {
	address, isTLS, isLoopback, err := addressOf(server)
	if err != nil {
		return nil, err
	}
	if options.Token != nil && !isTLS && !isLoopback {
		return nil, errors.New("selfsame: a token is not sent in plaintext beyond loopback: use https://")
	}
	if options.Timeout == 0 {
		options.Timeout = 30 * time.Second
	}
	if options.Retry == (Retry{}) {
		options.Retry = Retry{Attempts: 6, FirstWait: 100 * time.Millisecond, LongestWait: 5 * time.Second, AttemptTime: 10 * time.Second}
	}
	client := &Client{options: options}
	way := insecure.NewCredentials()
	if isTLS {
		way = credentials.NewTLS(options.TLS)
	}
	dial := append([]grpc.DialOption{
		grpc.WithTransportCredentials(way),
		grpc.WithDisableRetry(),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: time.Minute, Timeout: 20 * time.Second}),
		grpc.WithUnaryInterceptor(client.unary),
		grpc.WithStreamInterceptor(client.stream),
	}, options.Dial...)
	client.connection, err = grpc.NewClient(address, dial...)
	if err != nil {
		return nil, err
	}
	client.Screening = selfsamev1.NewScreeningServiceClient(client.connection)
	client.Payouts = selfsamev1.NewPayoutServiceClient(client.connection)
	client.Access = selfsamev1.NewAccessServiceClient(client.connection)
	client.Confirmations = selfsamev1.NewConfirmationServiceClient(client.connection)
	return client, nil
}

// Close ends the connection.
func (c *Client) Close() error { return c.connection.Close() }

type attempts struct {
	grpc.EmptyCallOption
	count int
}

// Attempts is a call option: how often a call is tried, in the place of what Retry says.
func Attempts(count int) grpc.CallOption { return attempts{count: count} }

// Follow is the feed after a cursor, message by message, until the context ends; with stopAtEnd what there is.
//
// Keep a message's cursor once all of its events have been dealt with, and begin there next time: at least once, in order, without gaps. A connection that
// breaks is made anew from the last message that was taken. It ends with an error when the context does, or when the cursor is not known any more
// (CursorOfAnotherLedger, CursorForgotten). Further filters are those of filter, which may be nil.
func (c *Client) Follow(ctx context.Context, programID, afterCursor string, stopAtEnd bool, filter *selfsamev1.WatchDecisionsRequest) iter.Seq2[*selfsamev1.WatchDecisionsResponse, error] {
	return func(yield func(*selfsamev1.WatchDecisionsResponse, error) bool) {
		request := &selfsamev1.WatchDecisionsRequest{}
		if filter != nil {
			proto.Merge(request, filter)
		}
		mode := selfsamev1.WatchMode_WATCH_MODE_FOLLOW
		if stopAtEnd {
			mode = selfsamev1.WatchMode_WATCH_MODE_STOP_AT_END
		}
		request.ProgramId, request.Mode, request.HeartbeatEvery = programID, &mode, durationpb.New(heartbeat)
		for failures := 0; ; {
			request.AfterCursor = afterCursor
			goOn := true
			err := c.watch(ctx, request, func(message *selfsamev1.WatchDecisionsResponse) bool {
				failures = 0
				if goOn = yield(message, nil); goOn && message.GetCursor() != "" {
					afterCursor = message.GetCursor()
				}
				return goOn
			})
			if !goOn || (err == nil && stopAtEnd) {
				return
			}
			if err != nil {
				failures++
				isOver := ctx.Err() != nil || !(err.IsOutcomeUnknown() || err.IsTransient()) || (stopAtEnd && failures > c.options.Retry.Attempts)
				if isOver || c.pause(ctx, min(failures, 10), err.RetryAfter) != nil {
					yield(nil, err)
					return
				}
			}
		}
	}
}

// watch hands one stream's messages on, until it ends, is silent for too long, or take has had enough.
func (c *Client) watch(ctx context.Context, request *selfsamev1.WatchDecisionsRequest, take func(*selfsamev1.WatchDecisionsResponse) bool) *Error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := c.Payouts.WatchDecisions(ctx, request)
	for err == nil {
		watchdog := time.AfterFunc(silence, cancel)
		var message *selfsamev1.WatchDecisionsResponse
		message, err = stream.Recv()
		watchdog.Stop()
		if err == nil && !take(message) {
			return nil
		}
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return errorOf(err)
}

func (c *Client) unary(ctx context.Context, method string, request, answer any, connection *grpc.ClientConn, invoke grpc.UnaryInvoker, options ...grpc.CallOption) error {
	tries := c.options.Retry.Attempts
	options = slices.Clone(options)
	for _, option := range options {
		if said, ok := option.(attempts); ok {
			tries = said.count
		}
	}
	if _, hasDeadline := ctx.Deadline(); !hasDeadline {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.options.Timeout)
		defer cancel()
	}
	request, isRepeatable := identified(method, request)
	for failures := 1; ; failures++ {
		err := c.try(ctx, isRepeatable, func(ctx context.Context) error { return invoke(ctx, method, request, answer, connection, options...) })
		if err == nil {
			return nil
		}
		if !isRepeatable || !err.IsTransient() || failures >= tries || c.pause(ctx, failures, err.RetryAfter) != nil {
			return err
		}
	}
}

func (c *Client) try(ctx context.Context, isRepeatable bool, call func(context.Context) error) *Error {
	ctx, err := c.shown(ctx)
	if err != nil {
		return errorOf(err)
	}
	if isRepeatable {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.options.Retry.AttemptTime)
		defer cancel()
	}
	if err := call(ctx); err != nil {
		return errorOf(err)
	}
	return nil
}

func (c *Client) stream(ctx context.Context, description *grpc.StreamDesc, connection *grpc.ClientConn, method string, open grpc.Streamer, options ...grpc.CallOption) (grpc.ClientStream, error) {
	ctx, err := c.shown(ctx)
	if err != nil {
		return nil, errorOf(err)
	}
	return open(ctx, description, connection, method, options...)
}

// shown is the context with who calls.
func (c *Client) shown(ctx context.Context) (context.Context, error) {
	if c.options.Token != nil {
		token, err := c.options.Token(ctx)
		if err != nil {
			return nil, err
		}
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token)
	}
	if c.options.Actor != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "selfsame-actor", c.options.Actor)
	}
	return ctx, nil
}

// pause waits before the next try; an error when that would be too late.
func (c *Client) pause(ctx context.Context, failures int, retryAfter time.Duration) error {
	bound := min(c.options.Retry.LongestWait, c.options.Retry.FirstWait<<(failures-1))
	if bound <= 0 {
		bound = c.options.Retry.LongestWait
	}
	wait := retryAfter + mathrand.N(max(bound, 1))
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) <= wait {
		return context.DeadlineExceeded
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(wait):
		return nil
	}
}

// identified is the request with an id of the call, the same for all retries, and whether it may be repeated.
func identified(method string, request any) (any, bool) {
	name := method[strings.LastIndexByte(method, '/')+1:]
	isRead := slices.ContainsFunc(reads, func(prefix string) bool { return strings.HasPrefix(name, prefix) })
	if isRead || slices.Contains(named, name) {
		return request, true
	}
	message, ok := request.(proto.Message)
	if !ok {
		return request, false
	}
	field := message.ProtoReflect().Descriptor().Fields().ByName("request_id")
	if field == nil {
		return request, false
	}
	if message.ProtoReflect().Get(field).String() == "" {
		message = proto.Clone(message)
		message.ProtoReflect().Set(field, protoreflect.ValueOfString(rand.Text()))
	}
	return message, true
}

// addressOf is a server's address, whether it is spoken to by TLS, and whether it is on loopback.
func addressOf(server string) (address string, isTLS, isLoopback bool, err error) {
	scheme, rest, hasScheme := strings.Cut(server, "://")
	address = strings.TrimSuffix(rest, "/")
	if !hasScheme {
		address = server
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil || (hasScheme && scheme != "http" && scheme != "https") {
		return "", false, false, errors.New("selfsame: a server is https://host:port, http://host:port or host:port")
	}
	ip, _ := netip.ParseAddr(host)
	isLoopback = host == "localhost" || ip.IsLoopback()
	return address, scheme == "https" || (!hasScheme && !isLoopback), isLoopback, nil
}
