package queue_test

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/invitedhq/invited/queue"
)

func TestDecodeJobReadsEveryField(t *testing.T) {
	job, err := queue.DecodeJob([]byte(` {"invitedUsers":["2533274790395904","18446744073709551615","1"],
		"connectionString":"a\"b\u00e9😀","platform":"Scarlett","id":"order-7","expiresAt":"2026-01-31T18:00:00.5+02:00"} `))
	require.NoError(t, err)
	assert.Equal(t, []queue.XUID{2533274790395904, 1<<64 - 1, 1}, job.InvitedUsers)
	assert.Equal(t, `a"bé😀`, job.ConnectionString)
	assert.Equal(t, "Scarlett", job.Platform)
	assert.Equal(t, "order-7", job.ID)
	assert.True(t, job.ExpiresAt.Equal(time.Date(2026, 1, 31, 16, 0, 0, 5e8, time.UTC)))
}

func TestDecodeJobKeepsTheFirstOfRepeatedRecipients(t *testing.T) {
	for _, n := range []int{10, 1000} {
		var list strings.Builder
		for i := range n {
			fmt.Fprintf(&list, `"%d","%d",`, i+1, 1)
		}
		job, err := queue.DecodeJob([]byte(`{"invitedUsers":[` + strings.TrimSuffix(list.String(), ",") + `]}`))
		require.NoError(t, err)
		require.Len(t, job.InvitedUsers, n)
		for i, x := range job.InvitedUsers {
			require.Equal(t, queue.XUID(i+1), x, "the order of the first ones is kept")
		}
	}
}

func TestDecodeJobAcceptsNamesAndDigitsWithEscapes(t *testing.T) {
	job, err := queue.DecodeJob([]byte(`{"invited\u0055sers":["\u0031\u0032"],"\u0069d":"x"}`))
	require.NoError(t, err)
	assert.Equal(t, queue.Job{InvitedUsers: []queue.XUID{12}, ID: "x"}, job)
}

func TestDecodeJobRefuses(t *testing.T) {
	users := `"invitedUsers":["1"]`
	tests := []struct{ name, body, want string }{
		{"nothing", ``, "the job is empty"},
		{"white space", " \n", "the job is empty"},
		{"text", `hello`, "the job is not valid JSON: at byte 0"},
		{"text that begins like null", `no`, "the job is not valid JSON: at byte"},
		{"an array", `[]`, "the job is an array; it must be a JSON object"},
		{"null", `null`, "the job is null; it must be a JSON object"},
		{"a cut body", `{"invitedUsers":["1"`, "the job is cut off after byte"},
		{"a body cut in a string", `{"invitedUsers":["1`, "the job is cut off after byte"},
		{"no recipients field", `{}`, "invitedUsers: is missing"},
		{"no recipients", `{"invitedUsers":[]}`, "invitedUsers: is empty"},
		{"null recipients", `{"invitedUsers":null}`, "invitedUsers: is null; it must be an array of XUIDs"},
		{"one recipient without a list", `{"invitedUsers":"1"}`, "invitedUsers: is a string; it must be an array"},
		{"numbers", `{"invitedUsers":[1]}`, "invitedUsers[0]: is a JSON number; write the XUID as a string, in quotes"},
		{"a null recipient", `{"invitedUsers":["1",null]}`, "invitedUsers[1]: is null"},
		{"a nested list", `{"invitedUsers":["1",[["2"]]]}`, "invitedUsers[1]: is an array"},
		{
			"a leading zero", `{"invitedUsers":["1","2","3","0123"]}`,
			`invitedUsers[3]: "0123" has a leading zero; an XUID is a decimal number above 0 in a string`,
		},
		{"zero", `{"invitedUsers":["0"]}`, `"0" has a leading zero`},
		{"an empty recipient", `{"invitedUsers":[""]}`, `"" is empty`},
		{"a sign", `{"invitedUsers":["+1"]}`, "is not all digits"},
		{"a space", `{"invitedUsers":["1 "]}`, "is not all digits"},
		{"a gamertag", `{"invitedUsers":["MajorNelson"]}`, `invitedUsers[0]: "MajorNelson" is not all digits`},
		{"other digits", `{"invitedUsers":["١"]}`, "is not all digits"},
		{"above 64 bits", `{"invitedUsers":["18446744073709551616"]}`, "is above 18446744073709551615"},
		{"far above 64 bits", `{"invitedUsers":["` + strings.Repeat("9", 10_000) + `"]}`, "is above 18446744073709551615"},
		{"too many", `{"invitedUsers":[` + strings.Repeat(`"1",`, 10_000) + `"1"]}`, "invitedUsers: has more than 10000 XUIDs"},
		{"an unknown field", `{` + users + `,"color":1}`, `"color": is an unknown field; known are invitedUsers, connectionString,`},
		{"another case", `{"InvitedUsers":["1"]}`, `"InvitedUsers": is an unknown field; it is spelt invitedUsers`},
		{"a repeated field", `{` + users + `,` + users + `}`, `"invitedUsers": appears twice`},
		{"a repeat in disguise", `{"id":"a",` + users + `,"\u0069d":"b"}`, `"id": appears twice`},
		{"data after it", `{` + users + `} {}`, "is followed by other data after byte"},
		{"a comma after it", `{` + users + `},`, "is followed by other data after byte"},
		{"a trailing comma", `{` + users + `,}`, "is not valid JSON"},
		{"comments", `{` + users + `/*x*/}`, "is not valid JSON"},
		{"a byte order mark", "\ufeff{" + users + `}`, "is not valid JSON"},
		{"invalid UTF-8", `{` + users + ",\"id\":\"\xff\"}", "invalid UTF-8"},
		{"a lone surrogate", `{` + users + `,"id":"\ud800"}`, "surrogate"},
		{
			"a long connection string", `{` + users + `,"connectionString":"` + strings.Repeat("😀", 256) + `x"}`,
			"connectionString: has 513 characters",
		},
		{"a null connection string", `{` + users + `,"connectionString":null}`, "connectionString: is null; it must be a string, or left out"},
		{"a number for an id", `{` + users + `,"id":7}`, "id: is a number; it must be a string"},
		{"a long id", `{` + users + `,"id":"` + strings.Repeat("é", 65) + `"}`, "id: has 130 bytes; at most 128"},
		{
			"another platform", `{` + users + `,"platform":"xboxone"}`,
			`platform: "xboxone" is not one of Android, IOS, Nintendo, PlayStation, Scarlett,`,
		},
		{"a date", `{` + users + `,"expiresAt":"2026-01-31"}`, `expiresAt: "2026-01-31" is no RFC 3339 time`},
		{"a Unix time", `{` + users + `,"expiresAt":1769880000}`, "expiresAt: is a number"},
		{"a zone of a day", `{` + users + `,"expiresAt":"2026-01-31T18:00:00+24:00"}`, "is no RFC 3339 time"},
		{"an hour of one digit", `{` + users + `,"expiresAt":"2026-01-31T1:00:00Z"}`, "is no RFC 3339 time"},
		{"a comma in a time", `{` + users + `,"expiresAt":"2026-01-31T18:00:00,5Z"}`, "is no RFC 3339 time"},
		{"an impossible time", `{` + users + `,"expiresAt":"2026-02-30T00:00:00Z"}`, "is no RFC 3339 time"},
		{"an unset time", `{` + users + `,"expiresAt":"0001-01-01T00:00:00Z"}`, "leave the field out"},
		{"deep nesting", `{"x":` + strings.Repeat("[", 100_000), `"x": is an unknown field`},
		{"deep nesting in a known field", `{"id":` + strings.Repeat("[", 100_000), "id: is an array"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			job, err := queue.DecodeJob([]byte(test.body))
			require.ErrorContains(t, err, test.want)
			require.LessOrEqual(t, len(err.Error()), 300, "an error must not carry the body")
			var jobError *queue.JobError
			require.ErrorAs(t, err, &jobError)
			assert.Zero(t, job, "an invalid job is not half read")
		})
	}
}

func TestDecodeJobAcceptsTheLimits(t *testing.T) {
	list := make([]string, queue.MaxInvitedUsers)
	for i := range list {
		list[i] = fmt.Sprintf(`"%d"`, i+1)
	}
	for name, body := range map[string]string{
		"recipients":        `{"invitedUsers":[` + strings.Join(list, ",") + `]}`,
		"connection string": `{"invitedUsers":["1"],"connectionString":"` + strings.Repeat("😀", 256) + `"}`,
		"id":                `{"invitedUsers":["1"],"id":"` + strings.Repeat("é", 64) + `"}`,
		"empty options":     `{"invitedUsers":["1"],"connectionString":"","platform":"","id":""}`,
	} {
		_, err := queue.DecodeJob([]byte(body))
		assert.NoError(t, err, name)
	}
	for _, p := range queue.Platforms() {
		_, err := queue.DecodeJob([]byte(`{"invitedUsers":["1"],"platform":"` + p + `"}`))
		assert.NoError(t, err, p)
	}
}

func TestLooseIDFindsTheProducersIDInABrokenJob(t *testing.T) {
	for body, want := range map[string]string{
		`{"id":"a","invitedUsers":[1]}`:                   "a",
		`{"invitedUsers":[1,{"id":"no"}],"id":"b","x":1}`: "b",
		`{"id":"c"`:                     "c",
		"{\"x\":\"\xff\",\"id\":\"d\"}": "d",
		`{"\u0069d":"\u0065"}`:          "e",
		`{"id":7}`:                      "",
		"{\"id\":\"\xff\"}":             "",
		`{"id":"` + strings.Repeat("x", 129) + `"}`: "",
		`{"x":` + strings.Repeat("[", 50_000):       "",
		`["id","x"]`:                                "",
		``:                                          "",
	} {
		assert.Equal(t, want, queue.LooseID([]byte(body)), "%.60s", body)
	}
}

func anyJob() *rapid.Generator[queue.Job] {
	return rapid.Custom(func(t *rapid.T) queue.Job {
		users := rapid.SliceOfNDistinct(rapid.Uint64Min(1), 1, 60, rapid.ID[uint64]).Draw(t, "users")
		job := queue.Job{
			ConnectionString: rapid.StringN(0, -1, queue.MaxConnectionString/2).Draw(t, "connectionString"),
			Platform:         rapid.SampledFrom(append(queue.Platforms(), "")).Draw(t, "platform"),
			ID:               rapid.StringN(0, -1, queue.MaxID).Draw(t, "id"),
		}
		for _, u := range users {
			job.InvitedUsers = append(job.InvitedUsers, queue.XUID(u))
		}
		if rapid.Bool().Draw(t, "expires") {
			job.ExpiresAt = time.Unix(rapid.Int64Range(-6e10, 2e11).Draw(t, "seconds"), rapid.Int64Range(0, 1e9-1).Draw(t, "ns")).UTC()
		}
		return job
	})
}

func TestDecodeUndoesEncode(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		job := anyJob().Draw(t, "job")
		data, err := job.Encode()
		require.NoError(t, err)
		back, err := queue.DecodeJob(data)
		require.NoError(t, err, "%s", data)
		require.True(t, job.ExpiresAt.Equal(back.ExpiresAt))
		job.ExpiresAt, back.ExpiresAt = time.Time{}, time.Time{}
		require.Equal(t, job, back)
		require.Equal(t, job.ID, queue.LooseID(data))
	})
}

func TestEncodeRefusesWhatDecodeWouldRefuse(t *testing.T) {
	one := []queue.XUID{1}
	for want, job := range map[string]queue.Job{
		"invitedUsers: is empty":                {},
		"invitedUsers[0]: 0 is no XUID":         {InvitedUsers: []queue.XUID{0}},
		"invitedUsers: has more than":           {InvitedUsers: make([]queue.XUID, queue.MaxInvitedUsers+1)},
		"connectionString: has 513":             {InvitedUsers: one, ConnectionString: strings.Repeat("x", 513)},
		"connectionString: is not valid UTF-8":  {InvitedUsers: one, ConnectionString: "\xff"},
		"platform: \"PC\" is not one of":        {InvitedUsers: one, Platform: "PC"},
		"id: has 129 bytes":                     {InvitedUsers: one, ID: strings.Repeat("x", 129)},
		"id: is not valid UTF-8":                {InvitedUsers: one, ID: "\xff"},
		"expiresAt: its year does not fit":      {InvitedUsers: one, ExpiresAt: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)},
		"expiresAt: its time zone does not fit": {InvitedUsers: one, ExpiresAt: time.Now().In(time.FixedZone("odd", 61))},
	} {
		_, err := job.Encode()
		assert.ErrorContains(t, err, want)
	}
}

func FuzzDecodeJob(f *testing.F) {
	for _, seed := range []string{
		`{"invitedUsers":["2533274790395904"],"connectionString":"x","platform":"Win32","id":"a","expiresAt":"2026-01-31T18:00:00Z"}`,
		`{"invitedUsers":["1","1",1]}`, `{"invitedUsers":[`, `{"\u0069d":"\ud83d\ude00","id":""}`, "{\"id\":\"\xff\"}",
		`[[[[`, ``, `{"a":{"a":1}}x`, `{"invitedUsers":["1"],"expiresAt":"2026-01-31T18:00:00+24:00"}`,
		`{"invitedUsers":["1"],"expiresAt":"2026-01-31t1:00:00,5z"}`, "\xef\xbb\xbf{}", `{"invitedUsers":["18446744073709551616"]}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		queue.LooseID(data)
		job, err := queue.DecodeJob(data)
		if err != nil {
			var jobError *queue.JobError
			require.ErrorAs(t, err, &jobError)
			return
		}
		var other struct { // what the standard library reads, as any client might
			InvitedUsers                   []string
			ConnectionString, Platform, ID string
			ExpiresAt                      time.Time
		}
		require.NoError(t, json.Unmarshal(data, &other))
		for _, text := range other.InvitedUsers {
			require.Contains(t, job.InvitedUsers, mustXUID(t, text))
		}
		require.Equal(t, []string{other.ConnectionString, other.Platform, other.ID}, []string{job.ConnectionString, job.Platform, job.ID})
		require.True(t, other.ExpiresAt.Equal(job.ExpiresAt))
		again, err := job.Encode()
		require.NoError(t, err, "what is accepted can be written again")
		back, err := queue.DecodeJob(again)
		require.NoError(t, err)
		require.True(t, job.ExpiresAt.Equal(back.ExpiresAt))
		job.ExpiresAt, back.ExpiresAt = time.Time{}, time.Time{}
		require.Equal(t, job, back)
	})
}

func mustXUID(t *testing.T, s string) queue.XUID {
	t.Helper()
	x, err := strconv.ParseUint(s, 10, 64)
	require.NoError(t, err)
	return queue.XUID(x)
}

func BenchmarkDecodeJob(b *testing.B) {
	for _, n := range []int{1, 16, queue.MaxInvitedUsers} {
		b.Run(fmt.Sprint("recipients=", n), func(b *testing.B) {
			job := queue.Job{ConnectionString: "session/1234567890", Platform: "Scarlett", ID: "campaign-7-000123"}
			for i := range n {
				job.InvitedUsers = append(job.InvitedUsers, queue.XUID(2533274790395904+i))
			}
			data, err := job.Encode()
			require.NoError(b, err)
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := queue.DecodeJob(data); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
