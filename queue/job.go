package queue

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// The limits of a job.
const (
	MaxInvitedUsers     = 10_000 // recipients, repeats included
	MaxConnectionString = 512    // UTF-16 code units
	MaxID               = 128    // bytes
)

// Job is one request to invite players. Its JSON is the contract's: a client in
// any language can write it. The zero value of an optional field means absent.
type Job struct {
	InvitedUsers     []XUID    // required; 1 to MaxInvitedUsers
	ConnectionString string    // what the invited player's game joins with
	Platform         string    // one of Platforms(); empty: any
	ID               string    // what results and dead letters call the job; empty: "<stream>:<sequence>"
	ExpiresAt        time.Time // never sent after it; zero: not set. Its year must be from 0 to 9999
}

// platforms are the API's own names, in its order.
const platforms = "Android IOS Nintendo PlayStation Scarlett Win32 WindowsOneCore XboxOne"

// Platforms returns the names that Job.Platform may have.
func Platforms() []string { return strings.Fields(platforms) }

// JobError says what is wrong with a job, and where.
type JobError struct {
	Field   string // such as "invitedUsers[3]"; empty where the job as a whole is meant
	Problem string // in words; never the whole body
}

func (e *JobError) Error() string {
	if e.Field == "" {
		return "the job " + e.Problem
	}
	return e.Field + ": " + e.Problem
}

// Validate checks the rules that DecodeJob checks too. Repeated recipients are
// allowed: each is invited once.
func (j Job) Validate() error {
	if err := checkCount(len(j.InvitedUsers)); err != nil {
		return err
	}
	for i, x := range j.InvitedUsers {
		if x == 0 {
			return &JobError{recipientField(i), "0 is no XUID; " + xuidForm}
		}
	}
	if err := checkText("connectionString", j.ConnectionString); err != nil {
		return err
	}
	if err := checkConnectionString(j.ConnectionString); err != nil {
		return err
	}
	if err := checkPlatform(j.Platform); err != nil {
		return err
	}
	if err := checkText("id", j.ID); err != nil {
		return err
	}
	if err := checkID(j.ID); err != nil {
		return err
	}
	return checkExpiry(j.ExpiresAt)
}

// Encode returns the job's JSON, or why it is no valid job.
func (j Job) Encode() ([]byte, error) {
	if err := j.Validate(); err != nil {
		return nil, err
	}
	return j.encode(), nil
}

// encode is for jobs that are known to be valid.
func (j Job) encode() []byte {
	b := make([]byte, 0, 64+19*len(j.InvitedUsers)+len(j.ConnectionString)+len(j.ID))
	b = append(b, `{"invitedUsers":[`...)
	for i, x := range j.InvitedUsers {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, '"')
		b = strconv.AppendUint(b, uint64(x), 10)
		b = append(b, '"')
	}
	b = append(b, ']')
	b = appendField(b, "connectionString", j.ConnectionString)
	b = appendField(b, "platform", j.Platform)
	b = appendField(b, "id", j.ID)
	if !j.ExpiresAt.IsZero() {
		b = appendField(b, "expiresAt", j.ExpiresAt.Format(time.RFC3339Nano))
	}
	return append(b, '}')
}

func appendField(b []byte, name, value string) []byte {
	if value == "" {
		return b
	}
	b = append(b, ',', '"')
	b = append(b, name...)
	b = append(b, '"', ':')
	// It fails only on invalid UTF-8, which validation refuses and decoding can't make.
	b, _ = jsontext.AppendQuote(b, value)
	return b
}

func recipientField(i int) string { return "invitedUsers[" + strconv.Itoa(i) + "]" }

func checkCount(n int) error {
	switch {
	case n == 0:
		return &JobError{"invitedUsers", "is empty; a job has at least one recipient"}
	case n > MaxInvitedUsers:
		return &JobError{"invitedUsers", fmt.Sprintf("has more than %d XUIDs; split the job", MaxInvitedUsers)}
	}
	return nil
}

func checkText(field, s string) error {
	if !utf8.ValidString(s) {
		return &JobError{field, "is not valid UTF-8"}
	}
	return nil
}

func checkConnectionString(s string) error {
	if len(s) <= MaxConnectionString { // no UTF-16 form is longer than the UTF-8 one
		return nil
	}
	units := 0
	for _, r := range s {
		units++
		if r > 0xFFFF {
			units++ // a surrogate pair
		}
	}
	if units > MaxConnectionString {
		return &JobError{"connectionString", fmt.Sprintf("has %d characters (UTF-16 code units); at most %d are allowed",
			units, MaxConnectionString)}
	}
	return nil
}

func checkPlatform(s string) error {
	if s == "" {
		return nil
	}
	for name := range strings.FieldsSeq(platforms) {
		if s == name {
			return nil
		}
	}
	return &JobError{"platform", fmt.Sprintf("%s is not one of %s; leave it out for any platform",
		quoteShort(s), strings.Join(Platforms(), ", "))}
}

func checkID(s string) error {
	if len(s) > MaxID {
		return &JobError{"id", fmt.Sprintf("has %d bytes; at most %d are allowed", len(s), MaxID)}
	}
	return nil
}

func checkExpiry(t time.Time) error {
	if t.IsZero() {
		return nil
	}
	if y := t.Year(); y < 0 || y > 9999 {
		return &JobError{"expiresAt", "its year does not fit RFC 3339 (0000 to 9999)"}
	}
	if _, offset := t.Zone(); offset%60 != 0 || offset <= -24*3600 || offset >= 24*3600 {
		return &JobError{"expiresAt", "its time zone does not fit RFC 3339; use UTC"}
	}
	return nil
}

// parseTime reads RFC 3339. Go's own parser takes more: hours of one digit, a
// comma, and zones that no JSON encoder writes again.
func parseTime(s string) (time.Time, bool) {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil || s[len("2006-01-02T15")] != ':' || strings.Contains(s, ",") {
		return time.Time{}, false
	}
	if zone := s[len(s)-len("+07:00"):]; s[len(s)-1] != 'Z' && (zone[1:3] > "23" || zone[4:] > "59") {
		return time.Time{}, false
	}
	return t, true
}

// quoteShort shows a value in an error without flooding it.
func quoteShort(s string) string {
	const limit = 40
	if len(s) <= limit {
		return strconv.QuoteToGraphic(s)
	}
	cut := limit
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return strconv.QuoteToGraphic(s[:cut]) + "… (" + strconv.Itoa(len(s)) + " bytes)"
}
