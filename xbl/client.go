package xbl

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"sync/atomic"
	"time"
)

const (
	// maxBody is what is read of an answer. The largest known one has some hundred bytes.
	maxBody = 64 << 10
	// maxDrain is what is read beyond that to keep an HTTP/1 connection usable; closing it is cheaper than more.
	maxDrain = 64 << 10
	// bodyWithin is how long the body may take after the headers.
	bodyWithin = 250 * time.Millisecond
)

// Client calls the invite API. It is safe for use by many goroutines at once. It never retries: whoever calls it
// accounts for every call in a quota, so each call of SendInvites must be at most one call of the API.
type Client struct {
	options Options
	base    *url.URL
	// priority is the source of tokens, where it can hurry for a player who waits; else nil.
	priority PrioritySource
	// http1 says that the connection made last speaks HTTP/1; see getBody.
	http1 atomic.Bool
	// Header values that are the same in every call; nobody writes to them.
	contentType, contractVersion, userAgent []string
}

// NewClient checks the options and makes a client. It connects to nothing.
func NewClient(o Options) (*Client, error) {
	o = o.withDefaults()
	if err := o.check(); err != nil {
		return nil, err
	}
	base, err := parseBaseURL(o.BaseURL)
	if err != nil {
		return nil, err
	}
	priority, _ := o.Tokens.(PrioritySource)
	return &Client{
		options:         o,
		base:            base,
		priority:        priority,
		contentType:     []string{"application/json"},
		contractVersion: []string{"1"},
		userAgent:       []string{o.UserAgent},
	}, nil
}

// CloseIdleConnections closes the connections that no call is using.
func (c *Client) CloseIdleConnections() {
	if t, ok := c.options.Transport.(interface{ CloseIdleConnections() }); ok {
		t.CloseIdleConnections()
	}
}

// SendInvites makes one call for all users of inv. It returns nil if every invite was sent, else always an [*Error].
// It takes no longer than [Options.Timeout].
func (c *Client) SendInvites(ctx context.Context, inv Invite) error {
	if e := c.send(ctx, &inv); e != nil {
		return e
	}
	return nil
}

func (c *Client) send(caller context.Context, inv *Invite) *Error {
	if e := inv.check(c.options.Audience); e != nil {
		return e
	}
	body, e := inv.appendBody(make([]byte, 0, inv.bodySize()), c.options.Audience)
	if e != nil {
		return e
	}
	ctx, cancel := context.WithTimeout(caller, c.options.Timeout)
	defer cancel()
	token, err := c.token(ctx, inv)
	if err == nil && token.IsZero() {
		err = errors.New("the token source gave an empty token")
	}
	if err != nil {
		return noToken(caller, err)
	}
	var w wire
	request := c.request(httptrace.WithClientTrace(ctx, w.trace(&c.http1)), inv, body, token)
	signedAt, err := token.sign(request, body)
	if err != nil {
		return noToken(caller, err)
	}
	began := time.Now()
	response, err := c.options.Transport.RoundTrip(request)
	if err == nil && response == nil {
		err = errors.New("the transport returned neither an answer nor an error")
	}
	if err != nil {
		if ctx.Err() != nil && caller.Err() == nil {
			err = fmt.Errorf("no answer within %v, the timeout of a call: %w", c.options.Timeout, err)
		}
		return c.noAnswer(err, &w, token)
	}
	if response.Body != http.NoBody {
		// The answer to a refused call holds up all others of its key: its body, mere
		// words, must not take long.
		late := time.AfterFunc(bodyWithin, cancel)
		defer late.Stop()
	}
	e = c.judge(response, inv.Sender, token)
	if token.heard(response.Header, signedAt, time.Since(began)) && e != nil && e.Status == http.StatusForbidden {
		e.Kind, e.Detail = Transient, "this machine's clock was wrong, and with it the signature; it goes by the service's now. "+e.Detail
	}
	return e
}

// request builds the HTTP request by hand: parsing a URL that is known anyway would cost more than the rest of it.
func (c *Client) request(ctx context.Context, inv *Invite, body []byte, token Token) *http.Request {
	u := *c.base
	u.Path += "/titles/" + strconv.FormatUint(uint64(inv.TitleID), 10) + "/invites"
	if c.options.Audience == AudienceServer {
		u.Path += "/server"
	}
	r := &http.Request{
		Method:     http.MethodPost,
		URL:        &u,
		Host:       u.Host,
		Proto:      "HTTP/1.1",
		ProtoMajor: 1,
		ProtoMinor: 1,
		Header: http.Header{
			"Authorization":          {token.authorization()},
			"Content-Type":           c.contentType,
			"X-Xbl-Contract-Version": c.contractVersion,
			"User-Agent":             c.userAgent,
		},
		Body:          io.NopCloser(bytes.NewReader(body)),
		GetBody:       c.getBody(body),
		ContentLength: int64(len(body)),
	}
	return r.WithContext(ctx)
}

// getBody decides whether the transport may send the request once more by itself.
//
// Over HTTP/1 it does so only if not a byte was written, to a kept connection that turned out to be closed: good to have.
// Over HTTP/2 it also does after some errors of the server (PROTOCOL_ERROR) that promise nothing, up to six times; without
// GetBody it can't, and [unprocessed] finds those that do promise something. Until the first connection tells what the
// service speaks there is no kept one to be closed, so nothing is lost by refusing.
func (c *Client) getBody(body []byte) func() (io.ReadCloser, error) {
	if !c.http1.Load() {
		return nil
	}
	return func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
}

// judge reads an answer and classifies it. A body that can't be read to its end doesn't matter: the status has arrived.
func (c *Client) judge(response *http.Response, sender string, token Token) *Error {
	now := time.Now()
	var body []byte
	if response.Body != nil {
		// The body of a 101 is the bare connection, which no timeout ends.
		if response.Body != http.NoBody && response.StatusCode >= http.StatusOK {
			body, _ = io.ReadAll(io.LimitReader(response.Body, maxBody))
			_, _ = io.CopyN(io.Discard, response.Body, maxDrain)
		}
		_ = response.Body.Close()
	}
	e := classify(answer{
		status:        response.StatusCode,
		header:        response.Header,
		body:          body,
		now:           now,
		maxRetryAfter: c.options.MaxRetryAfter,
		token:         token,
	})
	switch {
	case e == nil, e.Kind == Rejected, e.Kind == Forbidden:
		token.worked()
	case e.Kind == Unauthorized:
		c.options.Tokens.Refused(sender, token)
	}
	return e
}

// noToken is the error of a call that was not made. A caller that gave up is no problem of the token.
func noToken(caller context.Context, err error) *Error {
	e := &Error{Kind: Unauthorized, Detail: humanText(err.Error(), Token{}, maxDetail), Err: withoutToken(err, Token{})}
	if caller.Err() != nil {
		e.Kind = Transient
	}
	return e
}

// noAnswer is the error of a call that may or may not have arrived.
func (c *Client) noAnswer(err error, w *wire, token Token) *Error {
	kind, written := w.outcome(err)
	return &Error{
		Kind:    kind,
		Detail:  humanText("POST "+c.base.String()+": "+err.Error(), token, maxDetail),
		Written: written,
		Err:     withoutToken(err, token),
	}
}

// withoutToken returns err, or only its redacted words if they contain the token: net/http quotes what it can't parse,
// and a broken server may send anything back, up to 64 KiB of it. Looking for the token takes time for each byte, so
// of very long words only the beginning is kept.
func withoutToken(err error, token Token) error {
	words := err.Error()
	if clean := redact(truncate(words, 4*maxDetail), token); clean != words {
		return errors.New(clean)
	}
	return err
}
