package dispatcher

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"github.com/invitedhq/invited/queue"
	"github.com/invitedhq/invited/xbl"
)

// failureLog says once a minute what keeps failing, with a count of what it
// left out: an outage makes thousands of equal failures. Each single one is
// logged at debug level.
type failureLog struct {
	noSenders bool // senders are XUIDs
	said      [xbl.Misconfigured + 1]struct {
		at      time.Time
		skipped int
	}
}

const sayEvery = time.Minute

// log never names a recipient: XUIDs are personal data.
func (f *failureLog) log(ctx context.Context, log *slog.Logger, a answer) {
	attrs := []any{
		"result", a.err.Kind.String(), "title", a.call.Key.TitleID,
		"recipients", len(a.call.InvitedUsers), "status", a.err.Status, "code", a.err.Code,
	}
	if !f.noSenders {
		attrs = append(attrs, "sender", a.call.Key.Sender)
	}
	if a.err.Kind == xbl.Throttled {
		attrs = append(attrs, "retry_after", a.err.RetryAfter)
	}
	log.Debug("a call failed", append(attrs, "detail", a.err.Detail)...)
	if a.err.Status == 0 || a.err.Kind == xbl.Unauthorized { // else it is the API's own words, which may name recipients
		detail := a.err.Detail
		if f.noSenders {
			detail = strings.ReplaceAll(detail, a.call.Key.Sender, "[sender]")
		}
		attrs = append(attrs, "detail", detail)
	}
	last := &f.said[a.err.Kind]
	if !last.at.IsZero() && a.at.Sub(last.at) < sayEvery {
		last.skipped++
		return
	}
	level := slog.LevelWarn
	if a.err.Kind == xbl.Throttled {
		level = slog.LevelInfo // part of the day's work
	}
	log.Log(ctx, level, "calls fail", append(attrs, "more_since_last_line", last.skipped)...)
	last.at, last.skipped = a.at, 0
}

func (l *loop) logEnded(h *held) {
	job, title := slog.String("job", h.delivery.ID()), slog.Uint64("title", uint64(h.delivery.Address.TitleID))
	for _, dead := range h.end.Dead {
		level := slog.LevelInfo
		if dead.Reason == queue.Misconfigured || dead.Reason == queue.Forbidden {
			level = slog.LevelWarn
		}
		l.log.LogAttrs(l.calling, level, "dead letter", job, title,
			slog.String("lane", h.delivery.Lane.String()), slog.String("reason", string(dead.Reason)),
			slog.Int("recipients", len(dead.Recipients)), slog.Int("status", dead.Status), slog.String("code", dead.ErrorCode),
			traceOf(h.delivery)) // its detail, which may name recipients, is in the letter
	}
	if !l.log.Enabled(l.calling, slog.LevelDebug) {
		return // a line's values are gathered for every job, whether it is written or not
	}
	l.log.LogAttrs(l.calling, slog.LevelDebug, "job ended", job, title,
		slog.Int("sent", h.end.Sent), slog.Int("dead", len(h.end.Dead)), slog.Int("cancelled", h.end.Cancelled),
		slog.Int("attempts", h.end.Attempts), slog.Bool("maybe_duplicate", h.end.MaybeDuplicate), traceOf(h.delivery))
}

// traceOf is the producer's trace context. Where there is none it is an empty attribute, which handlers leave out.
func traceOf(d *queue.Delivery) slog.Attr {
	if d.Traceparent == "" {
		return slog.Attr{}
	}
	return slog.String("traceparent", d.Traceparent)
}
