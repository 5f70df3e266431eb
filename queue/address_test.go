package queue_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/invitedhq/invited/queue"
)

func TestASubjectIsReadAsItWasWritten(t *testing.T) {
	name := rapid.StringMatching(`[A-Za-z0-9_-]{1,64}`)
	rapid.Check(t, func(t *rapid.T) {
		a := queue.Address{TitleID: rapid.Uint32Min(1).Draw(t, "title"), Sender: name.Draw(t, "sender")}
		if rapid.Bool().Draw(t, "bulk") {
			a.Campaign = name.Draw(t, "campaign")
			require.Equal(t, queue.Bulk, a.Lane())
		}
		require.NoError(t, a.Validate())
		back, err := queue.ParseSubject(a.Subject())
		require.NoError(t, err)
		require.Equal(t, a, back)
	})
}

func TestParseSubjectRefusesWhatIsNoAddressAndKeepsWhatItRead(t *testing.T) {
	long := strings.Repeat("x", 65)
	for subject, want := range map[string]queue.Address{
		"":                              {},
		"invites.jobs":                  {},
		"invites.jobs.1":                {},
		"invites.jobs.1.a.b":            {},
		"invites.jobs.0.a":              {},
		"invites.jobs.01.a":             {},
		"invites.jobs.4294967296.a":     {},
		"invites.jobs.-1.a":             {},
		"invites.jobs.1.":               {TitleID: 1},
		"invites.jobs.1.a$":             {TitleID: 1},
		"invites.jobs.1." + long:        {TitleID: 1},
		"invites.campaigns.1.a":         {},
		"invites.campaigns.1.a.b c":     {TitleID: 1, Sender: "a"},
		"invites.campaigns.1.a." + long: {TitleID: 1, Sender: "a"},
		"invites.dead.1.rejected":       {},
	} {
		a, err := queue.ParseSubject(subject)
		var addressError *queue.AddressError
		require.ErrorAs(t, err, &addressError, subject)
		assert.Equal(t, want, a, subject)
		assert.LessOrEqual(t, len(err.Error()), 300)
	}
}

func FuzzParseSubject(f *testing.F) {
	for _, seed := range []string{"invites.jobs.1.a", "invites.campaigns.4294967295.a.b", "invites.jobs..", "invites.campaigns.\xff.*.>"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, subject string) {
		if a, err := queue.ParseSubject(subject); err == nil {
			require.Equal(t, subject, a.Subject())
			require.NoError(t, a.Validate())
		}
	})
}
