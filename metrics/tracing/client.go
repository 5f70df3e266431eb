package tracing

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v4"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// client speaks OTLP over HTTP. OpenTelemetry's own brings gRPC along, 5 MB of
// it: see docs/dependencies.md.
type client struct {
	settings

	http   *http.Client
	agent  string
	losses *losses

	once     sync.Once
	hurried  chan struct{} // closed when nothing is to be tried again
	uploads  context.Context
	cut      context.CancelFunc // ends all uploads
	attempts func() backoff.BackOff
}

var _ otlptrace.Client = (*client)(nil)

func newClient(s settings, o Options, l *losses) *client {
	c := &client{settings: s, agent: "invited/" + o.Version, losses: l, hurried: make(chan struct{})}
	c.uploads, c.cut = context.WithCancel(context.Background())
	transport := o.Transport
	if transport == nil {
		transport = &http.Transport{
			Proxy: http.ProxyFromEnvironment, TLSClientConfig: s.tls, ForceAttemptHTTP2: true,
			MaxIdleConns: 1, IdleConnTimeout: time.Minute, TLSHandshakeTimeout: s.timeout,
		}
	}
	c.http = &http.Client{
		Transport: transport, Timeout: s.timeout,
		// The headers are for the collector that was named.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	c.attempts = func() backoff.BackOff {
		return backoff.NewExponentialBackOff(backoff.WithInitialInterval(time.Second), backoff.WithMaxInterval(10*time.Second),
			backoff.WithMaxElapsedTime(0))
	}
	return c
}

// Start implements otlptrace.Client.
func (c *client) Start(context.Context) error { return nil }

// Stop implements otlptrace.Client.
func (c *client) Stop(context.Context) error {
	c.http.CloseIdleConnections()
	return nil
}

// hurry has uploads that fail from now on not tried again.
func (c *client) hurry() { c.once.Do(func() { close(c.hurried) }) }

// UploadTraces implements otlptrace.Client. It tries again as long as ctx, which
// ends with OTEL_BSP_EXPORT_TIMEOUT, allows it.
func (c *client) UploadTraces(ctx context.Context, spans []*tracepb.ResourceSpans) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(c.uploads, cancel)()

	// A request of the service has the same one field as TracesData, and its package needs gRPC.
	body, err := proto.Marshal(&tracepb.TracesData{ResourceSpans: spans})
	if err != nil {
		return err
	}
	if c.gzip {
		body = zipped(body)
	}
	for waits := c.attempts(); ; {
		err := c.post(ctx, body)
		later, again := errors.AsType[*laterError](err)
		if !again {
			return err
		}
		select {
		case <-time.After(max(later.after, waits.NextBackOff())):
		case <-c.hurried:
			return err
		case <-ctx.Done():
			return err
		}
	}
}

func zipped(body []byte) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write(body) // into memory
	_ = w.Close()
	return b.Bytes()
}

// laterError is what may be over later.
type laterError struct {
	error

	after time.Duration // that the collector asked for; 0: nothing
}

func (e *laterError) Unwrap() error { return e.error }

// maxAnswer is what is read of a collector's answer.
const maxAnswer = 64 << 10

func (c *client) post(ctx context.Context, body []byte) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.endpoint.String(), bytes.NewReader(body))
	if err != nil {
		return errors.New("the collector's address can't be used") // it may hold a password
	}
	r.Header = c.headers.Clone()
	r.Header.Set("User-Agent", c.agent)
	r.Header.Set("Content-Type", "application/x-protobuf")
	if c.gzip {
		r.Header.Set("Content-Encoding", "gzip")
	}
	response, err := c.http.Do(r)
	if err != nil {
		if wrapped, ok := errors.AsType[*url.Error](err); ok {
			err = wrapped.Err // without the address
		}
		return &laterError{error: fmt.Errorf("the collector at %s can't be reached: %w", c.endpoint.Host, err)}
	}
	defer response.Body.Close()
	answer, _ := io.ReadAll(io.LimitReader(response.Body, maxAnswer)) // what is missing of it changes little
	if response.StatusCode/100 == 2 {
		if n := rejected(answer); n > 0 {
			c.losses.add(n, fmt.Errorf("the collector at %s refused some", c.endpoint.Host))
		}
		return nil
	}
	err = fmt.Errorf("the collector at %s answers %s", c.endpoint.Host, response.Status)
	switch response.StatusCode {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return &laterError{err, retryAfter(response.Header.Get("Retry-After"), time.Now())}
	}
	return err
}

// retryAfter reads seconds or an HTTP date, an hour at the most: no batch is tried for that long. 0: it is neither.
func retryAfter(value string, now time.Time) time.Duration {
	const most = time.Hour
	if seconds, err := strconv.ParseUint(value, 10, 64); err == nil {
		return time.Duration(min(seconds, uint64(most/time.Second))) * time.Second
	}
	if date, err := http.ParseTime(value); err == nil {
		return min(max(date.Sub(now), 0), most)
	}
	return 0
}

// rejected reads how many spans were refused of an ExportTraceServiceResponse:
// field 1 is a message whose field 1 is their number. 0: none, or it is none.
func rejected(answer []byte) int {
	_, partial := field1(answer)
	n, _ := field1(partial)
	return int(min(n, 1<<20))
}

// field1 is a message's field 1: a number, or bytes.
func field1(message []byte) (number uint64, bytes []byte) {
	for len(message) > 0 {
		field, kind, n := protowire.ConsumeTag(message)
		if n < 0 {
			return 0, nil
		}
		message = message[n:]
		switch {
		case field == 1 && kind == protowire.VarintType:
			number, _ = protowire.ConsumeVarint(message)
		case field == 1 && kind == protowire.BytesType:
			bytes, _ = protowire.ConsumeBytes(message)
		}
		if n = protowire.ConsumeFieldValue(field, kind, message); n < 0 {
			return 0, nil
		}
		message = message[n:]
	}
	return number, bytes
}
