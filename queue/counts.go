package queue

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"
)

// encodeCounts writes recipients by reason, in the order of Reasons: "rejected=2,expired=1".
func encodeCounts(counts map[Reason]int) string {
	var parts []string
	for _, r := range Reasons() {
		if n := counts[r]; n > 0 {
			parts = append(parts, string(r)+"="+strconv.Itoa(n))
		}
	}
	return strings.Join(parts, ",")
}

// decodeCounts takes only what encodeCounts writes.
func decodeCounts(text string) (counts map[Reason]int, ok bool) {
	counts = make(map[Reason]int)
	if text == "" {
		return counts, true
	}
	for part := range strings.SplitSeq(text, ",") {
		reason, number, _ := strings.Cut(part, "=")
		n, err := strconv.Atoi(number)
		if err != nil || n < 1 || n > MaxInvitedUsers || !Reason(reason).Known() {
			return nil, false
		}
		counts[Reason(reason)] = n
	}
	return counts, encodeCounts(counts) == text
}

// deadByReason counts the recipients of a stored result that were not sent. Its
// headers say more than its JSON where there were several reasons.
func (r Result) deadByReason(h nats.Header) map[Reason]int {
	if counts, ok := decodeCounts(h.Get(headerDead)); ok && len(counts) > 0 {
		sum := 0
		for _, n := range counts {
			sum += n
		}
		if sum == r.Dead {
			return counts
		}
	}
	if r.Dead < 1 || !r.Reason.Known() {
		return map[Reason]int{}
	}
	return map[Reason]int{r.Reason: r.Dead}
}

// superseded is what a result said that another has taken the place of. Whoever
// has counted it takes it back: see tally.
type superseded struct {
	sequence  uint64 // of INVITE_RESULTS
	sent      int
	dead      map[Reason]int
	cancelled int
	maybe     bool // it said maybeDuplicate
}

const (
	// cancelledPart comes before how many were dropped, if any were ...
	cancelledPart = " cancelled="
	// ... and maybePart at the end.
	maybePart = " maybeDuplicate"
)

func encodeSuperseded(s superseded) string {
	// Without anybody dead it ends with the number: a space at a header's end does not arrive.
	text := strings.TrimSuffix(fmt.Sprintf("%d sent=%d %s", s.sequence, s.sent, encodeCounts(s.dead)), " ")
	if s.cancelled > 0 {
		text += fmt.Sprintf("%s%d", cancelledPart, s.cancelled)
	}
	if s.maybe {
		text += maybePart
	}
	return text
}

// decodeSuperseded takes only what encodeSuperseded writes.
func decodeSuperseded(text string) (s superseded, ok bool) {
	words, maybe := strings.CutSuffix(text, maybePart)
	s.maybe = maybe
	parts := strings.Split(words, " ")
	if rest, cancelled, has := strings.Cut(words, cancelledPart); has {
		var err error
		if s.cancelled, err = strconv.Atoi(cancelled); err != nil || s.cancelled > MaxInvitedUsers {
			return s, false
		}
		parts = strings.Split(rest, " ")
	}
	if len(parts) == 2 {
		parts = append(parts, "")
	}
	if len(parts) != 3 {
		return s, false
	}
	sent, isSent := strings.CutPrefix(parts[1], "sent=")
	var err1, err2 error
	s.sequence, err1 = strconv.ParseUint(parts[0], 10, 64)
	s.sent, err2 = strconv.Atoi(sent)
	s.dead, ok = decodeCounts(parts[2])
	ok = ok && isSent && err1 == nil && err2 == nil && s.sent >= 0 && s.sent <= MaxInvitedUsers
	return s, ok && encodeSuperseded(s) == text
}
