package configs

import (
	"fmt"
	"maps"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// validate checks every value's range, and the values that must fit together.
func (l *loader) validate() {
	c := &l.config
	l.validateNATS(c.NATS)
	l.validateXBL(c.XBL)
	l.validateTokens(c.Tokens)
	l.validateQuota(c.Quota)
	l.validateDispatch(c.Dispatch)
	l.validateAdmin(c.Admin)
	oneOf(l, "log.level", c.Log.Level, LevelDebug, LevelInfo, LevelWarn, LevelError)
	oneOf(l, "log.format", c.Log.Format, FormatText, FormatJSON)
}

func (l *loader) validateNATS(n NATS) {
	if problem := natsURLProblem(n.URL.Reveal()); problem != "" {
		l.refuse(pathNATSURL, "%s", problem)
	}
	if (n.TLS.CertFile == "") != (n.TLS.KeyFile == "") {
		l.refuse(l.firstSet("nats.tls.cert_file", "nats.tls.key_file"), "cert_file and key_file come together: set both or neither")
	}
	between(l, "nats.replicas", n.Replicas, 1, 5)
	if n.URL.IsZero() && n.Replicas > 1 {
		l.refuse("nats.replicas", "must be 1 with the embedded server, which is a single one; for more, set nats.url to a cluster")
	}
	between(l, "nats.partitions", n.Partitions, 1, 512)
	between(l, "nats.keep_campaigns", n.KeepCampaigns, 48*time.Hour, 365*24*time.Hour)
	l.hostPort("nats.embedded.listen", n.Embedded.Listen)
	if n.Embedded.DataDir == "" {
		l.refuse("nats.embedded.data_dir", "must name a folder, such as ./invited-data")
	}
	oneOf(l, "nats.embedded.sync", n.Embedded.Sync, SyncAlways, SyncInterval)
}

func (l *loader) validateXBL(x XBL) {
	if problem := baseURLProblem(x.BaseURL); problem != "" {
		l.refuse("xbl.base_url", "%s", problem)
	}
	oneOf(l, "xbl.audience", x.Audience, AudienceClient, AudienceServer)
	between(l, "xbl.timeout", x.Timeout, 100*time.Millisecond, 5*time.Minute)
	oneOf(l, "xbl.on_ambiguous", x.OnAmbiguous, AmbiguousRetry, AmbiguousDeadLetter)
	between(l, "xbl.max_retry_after", x.MaxRetryAfter, time.Second, 168*time.Hour)
}

func (l *loader) validateQuota(q Quota) {
	l.windows("quota.windows", q.Windows)
	between(l, "quota.max_in_flight", q.MaxInFlight, 1, 1024)
	between(l, "quota.interactive_reserve", q.InteractiveReserve, 0, 0.9)
	for _, id := range slices.Sorted(maps.Keys(q.Titles)) {
		path := fmt.Sprintf("quota.titles.%d", id)
		l.windows(path+".windows", q.Titles[id].Windows)
		if most := q.Titles[id].MaxInFlight; most != nil {
			between(l, path+".max_in_flight", *most, 1, 1024)
		}
	}
}

func (l *loader) windows(path string, windows []Window) {
	for i, w := range windows {
		item := fmt.Sprintf("%s[%d]", path, i)
		if l.isWritten(item, "max") {
			between(l, item+".max", w.Max, 1, 1_000_000)
		}
		if l.isWritten(item, "per") {
			between(l, item+".per", w.Per, time.Millisecond, 24*time.Hour)
		}
	}
}

// isWritten refuses a window without one of its keys: there is no default for half of one.
// The default windows themselves stand in no file and need no check.
func (l *loader) isWritten(item, key string) bool {
	place, written := l.places[item]
	_, set := l.places[join(item, key)]
	if written && !set && !l.failed[item] && !l.failed[join(item, key)] {
		l.fail(join(item, key), place, "the window has no %s: write both, as in {max: 7, per: 15s}", key)
	}
	return set
}

func (l *loader) validateDispatch(d Dispatch) {
	between(l, "dispatch.max_in_flight", d.MaxInFlight, 1, 65536)
	between(l, "dispatch.interactive_ttl", d.InteractiveTTL, time.Millisecond, 24*time.Hour)
	between(l, "dispatch.retry.initial", d.Retry.Initial, time.Millisecond, 24*time.Hour)
	between(l, "dispatch.retry.max", d.Retry.Max, time.Millisecond, 24*time.Hour)
	if d.Retry.Initial > d.Retry.Max && !l.failed["dispatch.retry.initial"] && !l.failed["dispatch.retry.max"] {
		l.refuse(l.firstSet("dispatch.retry.initial", "dispatch.retry.max"),
			"dispatch.retry.initial must not be longer than dispatch.retry.max: shorten the first or lengthen the second")
	}
	between(l, "dispatch.retry.max_attempts", d.Retry.MaxAttempts, 1, 1000)
	between(l, "dispatch.shutdown_grace", d.ShutdownGrace, 0, 10*time.Minute)
}

// validateAdmin does not let whoever reaches the listener from another machine change anything.
func (l *loader) validateAdmin(a Admin) {
	const path = "admin.actions"
	l.hostPort(pathAdminListen, a.Listen)
	host, _, err := net.SplitHostPort(a.Listen)
	if a.Actions && a.AuthFile == "" && err == nil && !isLoopback(host) {
		l.refuse(l.firstSet(path, pathAdminListen), "lets everybody who reaches %s change things: name a file in admin.auth_file, "+
			"or listen on loopback, or leave admin.actions at false", a.Listen)
	}
}

// refuse adds an error where the value of path came from, unless it has one already.
func (l *loader) refuse(path, format string, args ...any) {
	if !l.failed[path] {
		l.fail(path, l.places[path], format, args...)
	}
}

// firstSet returns the first of the paths that was set, so that the error of several
// that do not fit together stands on a line that somebody wrote.
func (l *loader) firstSet(paths ...string) string {
	for _, path := range paths {
		if _, set := l.places[path]; set {
			return path
		}
	}
	return paths[0]
}

func oneOf[T ~string](l *loader, path string, value T, allowed ...T) {
	if slices.Contains(allowed, value) {
		return
	}
	names := make([]string, len(allowed))
	for i, one := range allowed {
		names[i] = string(one)
	}
	l.refuse(path, "must be one of %s%s", strings.Join(names, ", "), l.not(path, string(value)))
}

func between[T int | float64 | time.Duration](l *loader, path string, value, least, most T) {
	if value >= least && value <= most { // false for NaN as well
		return
	}
	l.refuse(path, "must be from %s to %s%s", show(least), show(most), l.not(path, value))
}

func show(value any) string {
	if d, ok := value.(time.Duration); ok {
		return shortDuration(d)
	}
	return fmt.Sprint(value)
}

func (l *loader) hostPort(path, address string) {
	const form = "must be host:port, such as 127.0.0.1:9464"
	host, port, err := net.SplitHostPort(address)
	if err != nil || strings.ContainsFunc(host, func(r rune) bool { return r <= ' ' || strings.ContainsRune("/@", r) }) {
		l.refuse(path, "%s%s", form, l.not(path, address))
		return
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		l.refuse(path, "%s: the port must be a number from 0 (any free one) to 65535%s", form, l.not(path, port))
	}
}

// natsURLProblem never repeats the URL: it may hold a password.
func natsURLProblem(servers string) string {
	if servers == "" {
		return ""
	}
	web := 0
	list := strings.Split(servers, ",")
	for i, one := range list {
		u, err := url.Parse(strings.TrimSpace(one))
		if err != nil || u.Hostname() == "" || !slices.Contains([]string{"nats", "tls", "ws", "wss"}, u.Scheme) {
			return fmt.Sprintf("server %d of %d is no NATS URL: write nats://host:4222, tls://…, ws://… or wss://…, "+
				`with commas between servers, or "" for the embedded server`, i+1, len(list))
		}
		if strings.HasPrefix(u.Scheme, "ws") {
			web++
		}
	}
	if web != 0 && web != len(list) {
		return "ws:// and wss:// servers can't be mixed with others: use one kind"
	}
	return ""
}

// baseURLProblem never repeats the URL: somebody may have put a token into it.
func baseURLProblem(base string) string {
	const form = "must be an https:// URL, such as https://multiplayeractivity.xboxlive.com"
	u, err := url.Parse(base)
	switch {
	case err != nil || u.Hostname() == "" || (u.Scheme != "https" && u.Scheme != "http"):
		return form
	case u.User != nil:
		return "must not hold a user or password: tokens belong into the tokens section"
	case strings.ContainsAny(base, "?#"):
		return "must not have a query or fragment: remove everything from ? or # on"
	case u.Scheme == "http" && !isLoopback(u.Hostname()):
		return form + "; http:// is for loopback only (localhost, 127.0.0.1, [::1]), since it would show tokens to the network"
	default:
		return ""
	}
}

// isLoopback knows names and addresses that cannot leave the machine.
func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback()
}
