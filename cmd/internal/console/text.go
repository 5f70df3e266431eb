package console

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/invitedhq/invited/cmd/internal/cli"
	"github.com/invitedhq/invited/queue"
)

// This file is where text of others is made fit to be shown. html/template takes
// care that it is text and no markup; here control and bidirectional characters
// become U+FFFD, and what is a player's is masked unless admin.show_players.

// longNumber is what may be an XUID: a title's ID has ten digits at most.
var longNumber = regexp.MustCompile(`[0-9]{11,}`)

const masked = "•••"

// maskNumber leaves the last three digits: enough to tell two apart who are known, and not to find anybody.
func maskNumber(s string) string { return masked + s[len(s)-3:] }

// text is words of others, such as a detail, in which a player may be named.
func (c *Console) text(s string) string {
	s = strings.ToValidUTF8(cli.Printable(s), "\uFFFD")
	if c.opts.Admin.ShowPlayers {
		return s
	}
	return longNumber.ReplaceAllStringFunc(s, maskNumber)
}

// traceparent is what a trace context looks like, in which digits in a row are nobody's.
var traceparent = regexp.MustCompile(`^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$`)

// trace is a producer's trace context, or whatever else it wrote there.
func (c *Console) trace(s string) string {
	if traceparent.MatchString(s) {
		return s
	}
	return c.text(s)
}

// sender is a sender's name. In server mode it is a player, and where it looks like one it may be that of a worker in server mode.
func (c *Console) sender(s string) string {
	if c.masksSenders() && s != "" {
		return maskNumber("000" + s)
	}
	return c.text(s)
}

func (c *Console) masksSenders() bool { return c.opts.SendersAreXUIDs && !c.opts.Admin.ShowPlayers }

// alias is what a sender is called in an address: a player's is not to be in a browser's history, or a proxy's log.
func (c *Console) alias(sender string) string {
	if c.sender(sender) == sender {
		return sender
	}
	mac := hmac.New(sha256.New, c.key)
	mac.Write([]byte(sender))
	return aliasMark + hex.EncodeToString(mac.Sum(nil)[:10])
}

// aliasMark is in no sender's name.
const aliasMark = "~"

// player is one XUID.
func (c *Console) player(x queue.XUID) string {
	if c.opts.Admin.ShowPlayers {
		return x.String()
	}
	return maskNumber("000" + x.String())
}

// connectionString says how to join a game, which is for those who are invited.
func (c *Console) connectionString(s string) string {
	if c.opts.Admin.ShowPlayers || s == "" {
		return cli.Printable(s)
	}
	return fmt.Sprintf("%s (%s)", masked, plural(len(utf16.Encode([]rune(s))), "character"))
}

// shownWords are the names of a job's fields: what may be seen of a body that is no job.
var shownWords = regexp.MustCompile(`"(invitedUsers|connectionString|platform|id|expiresAt)"\s*:`)

// rawBody is what is no job: its structure, and the names of a job's fields. Anything else in it may be a player's.
func (c *Console) rawBody(b []byte) string {
	const most = 4 << 10
	cut := ""
	if len(b) > most {
		b, cut = b[:most], "…"
	}
	s := strings.ToValidUTF8(printableLines(string(b)), "\uFFFD") + cut
	if c.opts.Admin.ShowPlayers {
		return s
	}
	var out strings.Builder
	last := 0
	for _, at := range shownWords.FindAllStringIndex(s, -1) {
		out.WriteString(hideWords(s[last:at[0]]))
		out.WriteString(s[at[0]:at[1]])
		last = at[1]
	}
	out.WriteString(hideWords(s[last:]))
	return out.String()
}

// printableLines is cli.Printable, but for line breaks.
func printableLines(s string) string {
	lines := strings.Split(s, "\n")
	for i, line := range lines {
		lines[i] = cli.Printable(strings.TrimSuffix(line, "\r"))
	}
	return strings.Join(lines, "\n")
}

func hideWords(s string) string {
	return strings.Map(func(r rune) rune {
		if r < utf8.RuneSelf && !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			return r
		}
		return '•'
	}, s)
}

// jobText is a job's JSON, as it would be published, with players masked.
func (c *Console) jobText(j queue.Job) string {
	var b strings.Builder
	b.WriteString("{\n  \"invitedUsers\": [")
	for i, x := range j.InvitedUsers {
		if i == maxShownPlayers {
			fmt.Fprintf(&b, ", … %s more", grouped(len(j.InvitedUsers)-i))
			break
		}
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(strconv.Quote(c.player(x)))
	}
	b.WriteString("]")
	field := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&b, ",\n  %q: \"%s\"", name, value)
		}
	}
	field("connectionString", c.connectionString(j.ConnectionString))
	field("platform", cli.Printable(j.Platform))
	field("id", c.text(j.ID))
	if !j.ExpiresAt.IsZero() {
		field("expiresAt", j.ExpiresAt.Format(time.RFC3339))
	}
	b.WriteString("\n}")
	return b.String()
}

// maxShownPlayers is how many of a job's are listed.
const maxShownPlayers = 64

// grouped sets thousands apart.
func grouped[T int | uint64](n T) string {
	s := strconv.FormatInt(int64(n), 10)
	neg := strings.HasPrefix(s, "-")
	s = strings.TrimPrefix(s, "-")
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	if neg {
		s = "-" + s
	}
	return s
}

func plural(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return grouped(n) + " " + one + "s"
}

// span is a time in words of two units at most: "3 h 12 min".
func span(d time.Duration) string {
	if d < 0 {
		d = 0
	}
	switch {
	case d < 10*time.Second && d%time.Second != 0:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < time.Hour:
		return twoUnits(int(d.Seconds()), 60, "min", "s")
	case d < 24*time.Hour:
		return twoUnits(int(d.Minutes()), 60, "h", "min")
	default:
		return twoUnits(int(d.Hours()), 24, "d", "h")
	}
}

// trimmed is a number with one digit after the point, unless that is 0.
func trimmed(n float64) string { return strings.TrimSuffix(strconv.FormatFloat(n, 'f', 1, 64), ".0") }

func twoUnits(n, base int, large, small string) string {
	if n%base == 0 {
		return fmt.Sprintf("%d %s", n/base, large)
	}
	return fmt.Sprintf("%d %s %d %s", n/base, large, n%base, small)
}

// rate is a number per second: "0.25", "7.1", "1,234".
func rate(perSecond float64) string {
	switch {
	case perSecond == 0:
		return "0"
	case perSecond < 1:
		return strconv.FormatFloat(perSecond, 'f', 2, 64)
	case perSecond < 100:
		return strconv.FormatFloat(perSecond, 'f', 1, 64)
	default:
		return grouped(int(perSecond + 0.5))
	}
}

// share is a part in whole percent, which is 100 only for all and 0 only for none.
func share(n, of int) string {
	if of <= 0 {
		return ""
	}
	p := float64(n) / float64(of) * 100
	switch {
	case n > 0 && p < 1:
		return "<1 %"
	case n < of && p > 99:
		return ">99 %"
	}
	return fmt.Sprintf("%.0f %%", p)
}
