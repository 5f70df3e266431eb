package queue

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// jobFields are the contract's names, to help with a wrong spelling.
const jobFields = "invitedUsers connectionString platform id expiresAt"

// DecodeJob reads a job from its JSON and checks every rule of the contract:
// unknown, repeated or wrongly spelt fields, values of another type, invalid
// UTF-8, data after the job and values out of range are refused. The error is a
// *JobError that names the place. Repeated recipients are removed; the first of
// each and the order are kept. It never panics, and it stops reading where it
// knows that the job is invalid. data is not kept.
func DecodeJob(data []byte) (Job, error) {
	// The decoder reads a bytes.Buffer in place, without a copy. Names that are repeated are found here, at a fraction of the cost.
	r := jobReader{dec: jsontext.NewDecoder(bytes.NewBuffer(data), jsontext.AllowDuplicateNames(true))}
	if err := r.object(); err != nil {
		return Job{}, err
	}
	if !r.seen.recipients {
		return Job{}, &JobError{"invitedUsers", "is missing; a job has at least one recipient"}
	}
	if err := r.atEnd(); err != nil {
		return Job{}, err
	}
	r.job.InvitedUsers = withoutRepeats(r.job.InvitedUsers)
	return r.job, nil
}

type jobReader struct {
	dec  *jsontext.Decoder
	job  Job
	seen struct{ recipients, connectionString, platform, id, expiresAt bool }
}

func (r *jobReader) object() error {
	if k := r.dec.PeekKind(); k != jsontext.KindBeginObject {
		return r.wrongKind("", k, "a JSON object")
	}
	if _, err := r.dec.ReadToken(); err != nil {
		return syntax(err)
	}
	for r.dec.PeekKind() == jsontext.KindString {
		name, err := r.dec.ReadValue()
		if err != nil {
			return syntax(err)
		}
		if err := r.field(name); err != nil {
			return err
		}
	}
	_, err := r.dec.ReadToken()
	return syntax(err)
}

func (r *jobReader) field(quoted jsontext.Value) error {
	switch string(quoted) {
	case `"invitedUsers"`:
		if err := once(&r.seen.recipients, "invitedUsers"); err != nil {
			return err
		}
		return r.readRecipients()
	case `"connectionString"`:
		return r.readText(&r.seen.connectionString, "connectionString", &r.job.ConnectionString, checkConnectionString)
	case `"platform"`:
		return r.readText(&r.seen.platform, "platform", &r.job.Platform, checkPlatform)
	case `"id"`:
		return r.readText(&r.seen.id, "id", &r.job.ID, checkID)
	case `"expiresAt"`:
		if err := once(&r.seen.expiresAt, "expiresAt"); err != nil {
			return err
		}
		return r.readExpiry()
	}
	name, err := unquote(quoted)
	if err != nil {
		return syntax(err)
	}
	// A name may be spelt with escapes: then it is a known one after all.
	if plain := `"` + name + `"`; plain != string(quoted) && isJobField(name) {
		return r.field(jsontext.Value(plain))
	}
	return unknownField(name)
}

func isJobField(name string) bool {
	for known := range strings.FieldsSeq(jobFields) {
		if name == known {
			return true
		}
	}
	return false
}

func unknownField(name string) error {
	for known := range strings.FieldsSeq(jobFields) {
		if strings.EqualFold(name, known) {
			return &JobError{quoteShort(name), "is an unknown field; it is spelt " + known}
		}
	}
	return &JobError{quoteShort(name), "is an unknown field; known are " + strings.ReplaceAll(jobFields, " ", ", ")}
}

func (r *jobReader) readRecipients() error {
	if k := r.dec.PeekKind(); k != jsontext.KindBeginArray {
		return r.wrongKind("invitedUsers", k, "an array of XUIDs")
	}
	if _, err := r.dec.ReadToken(); err != nil {
		return syntax(err)
	}
	users := make([]XUID, 0, 16)
	for {
		switch k := r.dec.PeekKind(); k {
		case jsontext.KindString:
		case jsontext.KindEndArray:
			r.job.InvitedUsers = users
			if _, err := r.dec.ReadToken(); err != nil {
				return syntax(err)
			}
			return checkCount(len(users))
		case jsontext.KindNumber:
			return &JobError{recipientField(len(users)), "is a JSON number; write the XUID as a string, in quotes"}
		default:
			return r.wrongKind(recipientField(len(users)), k, "an XUID as a string")
		}
		quoted, err := r.dec.ReadValue()
		if err != nil {
			return syntax(err)
		}
		if len(users) == MaxInvitedUsers {
			return checkCount(len(users) + 1)
		}
		x, err := recipient(quoted)
		if err != nil {
			return &JobError{recipientField(len(users)), err.Error()}
		}
		users = append(users, x)
	}
}

func recipient(quoted jsontext.Value) (XUID, error) {
	digits := quoted[1 : len(quoted)-1]
	if bytes.IndexByte(digits, '\\') >= 0 {
		plain, err := unquote(quoted)
		if err != nil {
			return 0, err
		}
		digits = []byte(plain)
	}
	x, err := parseXUID(digits)
	if err != nil {
		return 0, fmt.Errorf("%s %w", quoteShort(string(digits)), err)
	}
	return x, nil
}

func (r *jobReader) readExpiry() error {
	s, err := r.text("expiresAt")
	if err != nil {
		return err
	}
	// RFC 3339 allows t and z too.
	var ok bool
	if r.job.ExpiresAt, ok = parseTime(strings.ToUpper(s)); !ok {
		return &JobError{"expiresAt", quoteShort(s) + " is no RFC 3339 time such as 2026-01-31T18:00:00Z"}
	}
	if r.job.ExpiresAt.IsZero() {
		return &JobError{"expiresAt", "is the year 1, which some languages write for \"not set\"; leave the field out"}
	}
	return nil
}

// readText reads a string that may stand there once, and checks it.
func (r *jobReader) readText(seen *bool, field string, into *string, check func(string) error) (err error) {
	if err := once(seen, field); err != nil {
		return err
	}
	if *into, err = r.text(field); err != nil {
		return err
	}
	return check(*into)
}

// text reads a string value. It leaves the checks of its content to the caller.
func (r *jobReader) text(field string) (string, error) {
	if k := r.dec.PeekKind(); k != jsontext.KindString {
		return "", r.wrongKind(field, k, "a string")
	}
	quoted, err := r.dec.ReadValue()
	if err != nil {
		return "", syntax(err)
	}
	s, err := unquote(quoted)
	return s, syntax(err)
}

// atEnd makes sure that nothing but white space follows.
func (r *jobReader) atEnd() error {
	offset := r.dec.InputOffset()
	if _, err := r.dec.ReadToken(); errors.Is(err, io.EOF) {
		return nil
	}
	return &JobError{"", fmt.Sprintf("is followed by other data after byte %d", offset)}
}

// wrongKind is called when a value of another kind is next, or none at all.
func (r *jobReader) wrongKind(field string, found jsontext.Kind, wanted string) error {
	if found == jsontext.KindInvalid { // the next read says why
		_, err := r.dec.ReadToken()
		if errors.Is(err, io.EOF) {
			return &JobError{"", "is empty; it must be a JSON object"}
		}
		return syntax(err)
	}
	if found == jsontext.KindNull || found == jsontext.KindTrue || found == jsontext.KindFalse {
		if _, err := r.dec.ReadToken(); err != nil { // it only began like one
			return syntax(err)
		}
	}
	problem := "is " + kindName(found) + "; it must be " + wanted
	if found == jsontext.KindNull && field != "" {
		problem += ", or left out where it is optional"
	}
	return &JobError{field, problem}
}

func kindName(k jsontext.Kind) string {
	switch k {
	case jsontext.KindNull:
		return "null"
	case jsontext.KindTrue, jsontext.KindFalse:
		return "a boolean"
	case jsontext.KindString:
		return "a string"
	case jsontext.KindNumber:
		return "a number"
	case jsontext.KindBeginObject:
		return "an object"
	case jsontext.KindBeginArray:
		return "an array"
	default:
		return "cut off"
	}
}

// syntax puts the decoder's errors into words about a job.
func syntax(err error) error {
	if err == nil {
		return nil
	}
	var s *jsontext.SyntacticError
	if !errors.As(err, &s) {
		return &JobError{"", "is cut off; the JSON ends in the middle"}
	}
	if errors.Is(s.Err, jsontext.ErrDuplicateName) {
		return &JobError{quoteShort(s.JSONPointer.LastToken()), "appears twice"}
	}
	if errors.Is(s.Err, io.ErrUnexpectedEOF) {
		return &JobError{"", fmt.Sprintf("is cut off after byte %d; the JSON ends in the middle", s.ByteOffset)}
	}
	return &JobError{"", fmt.Sprintf("is not valid JSON: at byte %d: %s", s.ByteOffset, printable(s.Err.Error()))}
}

func unquote(quoted jsontext.Value) (string, error) {
	if inner := quoted[1 : len(quoted)-1]; bytes.IndexByte(inner, '\\') < 0 {
		return string(inner), nil // the decoder has checked its UTF-8
	}
	b, err := jsontext.AppendUnquote(nil, quoted)
	return string(b), err
}

// withoutRepeats works in place.
func withoutRepeats(users []XUID) []XUID {
	const few = 32 // up to here comparing all pairs beats a map
	if len(users) <= few {
		kept := users[:0]
		for _, x := range users {
			if !slices.Contains(kept, x) {
				kept = append(kept, x)
			}
		}
		return kept
	}
	seen := make(map[XUID]struct{}, len(users))
	kept := users[:0]
	for _, x := range users {
		if _, ok := seen[x]; !ok {
			seen[x] = struct{}{}
			kept = append(kept, x)
		}
	}
	return kept
}

// LooseID finds the id in a body that is no valid job, so that its result and
// dead letter carry the name that the producer knows. It is empty where none
// can be read before the body breaks.
func LooseID(data []byte) string {
	dec := jsontext.NewDecoder(bytes.NewBuffer(data),
		jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	if dec.PeekKind() != jsontext.KindBeginObject {
		return ""
	}
	if _, err := dec.ReadToken(); err != nil {
		return ""
	}
	for dec.PeekKind() == jsontext.KindString {
		name, err := dec.ReadToken()
		if err != nil {
			return ""
		}
		if name.String() != "id" || dec.PeekKind() != jsontext.KindString {
			if dec.SkipValue() != nil {
				return ""
			}
			continue
		}
		quoted, err := dec.ReadValue()
		if err != nil {
			return ""
		}
		id, err := unquote(quoted)
		if err != nil || !utf8.ValidString(id) || checkID(id) != nil {
			return ""
		}
		return id
	}
	return ""
}

func once(seen *bool, field string) error {
	if *seen {
		return &JobError{quoteShort(field), "appears twice"}
	}
	*seen = true
	return nil
}
