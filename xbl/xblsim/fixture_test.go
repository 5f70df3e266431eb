package xblsim_test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/invitedhq/invited/xbl/xblsim"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	title  = 1739947436
	alice  = "XBL3.0 x=111;alices-secret"
	bob    = "XBL3.0 x=222;bobs-secret"
	player = 2533274790395904
)

// fixture is a simulator and a way to call it.
type fixture struct {
	*xblsim.Server
	t    require.TestingT
	send func(*http.Request) (*http.Response, error)
	base string
}

// inProcess calls the simulator's handler directly, which also works in fake time.
// A dropped connection is io.ErrUnexpectedEOF.
func inProcess(t require.TestingT, o xblsim.Options) *fixture {
	f := &fixture{Server: xblsim.New(o), t: t}
	f.send = func(r *http.Request) (resp *http.Response, err error) {
		defer func() {
			if p := recover(); p != nil {
				require.Equal(t, http.ErrAbortHandler, p, "the only panic allowed is the one that drops the connection")
				resp, err = nil, io.ErrUnexpectedEOF
			}
		}()
		w := httptest.NewRecorder()
		f.ServeHTTP(w, r)
		return w.Result(), nil
	}
	return f
}

// overHTTP calls the simulator through a real connection.
func overHTTP(t *testing.T, o xblsim.Options) *fixture {
	t.Helper()
	f := &fixture{Server: xblsim.New(o), t: t}
	server := httptest.NewServer(f.Server)
	t.Cleanup(server.Close)
	f.base = server.URL
	f.send = server.Client().Do
	return f
}

// request is a valid call, to be spoiled by tests.
type request struct {
	method, path, body string
	header             http.Header
}

func validRequest() *request {
	return &request{
		method: http.MethodPost,
		path:   fmt.Sprintf("/titles/%d/invites", title),
		body:   fmt.Sprintf(`{"invitedUsers":["%d"]}`, player),
		header: http.Header{
			"Authorization":          {alice},
			"Content-Type":           {"application/json"},
			"X-Xbl-Contract-Version": {"1"},
		},
	}
}

func inviteRequest(authorization string, users ...uint64) *request {
	texts := make([]string, len(users))
	for i, u := range users {
		texts[i] = strconv.Quote(strconv.FormatUint(u, 10))
	}
	r := validRequest()
	r.header.Set("Authorization", authorization)
	r.body = `{"invitedUsers":[` + strings.Join(texts, ",") + `]}`
	return r
}

// toServer makes r a call to /invites/server.
func (r *request) toServer(sender uint64) *request {
	r.path += "/server"
	r.body = strings.TrimSuffix(r.body, "}") + fmt.Sprintf(`,"sender":"%d"}`, sender)
	return r
}

func (r *request) http(f *fixture) *http.Request {
	out := httptest.NewRequest(r.method, cmp.Or(f.base, "http://sim.test")+r.path, strings.NewReader(r.body))
	out.RequestURI = "" // a client's request has none
	out.Header = r.header.Clone()
	return out
}

// answer is a response that was read to its end.
type answer struct {
	status int
	header http.Header
	body   string
}

// do returns the answer to a request that must have one.
func (f *fixture) do(r *request) answer {
	a, err := f.try(r)
	require.NoError(f.t, err, "the call must be answered")
	return a
}

// try is do for calls whose connection may be dropped.
func (f *fixture) try(r *request) (answer, error) {
	resp, err := f.send(r.http(f))
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, string(body)}, err
}

// invite calls for one player, whom it returns the answer for.
func (f *fixture) invite(authorization string) answer {
	return f.do(inviteRequest(authorization, player))
}

func (f *fixture) get(path string) answer {
	return f.do(&request{method: http.MethodGet, path: path})
}

// into decodes the body, which may have no fields but those of v.
func (a answer) into(t require.TestingT, v any) {
	dec := json.NewDecoder(bytes.NewBufferString(a.body))
	dec.DisallowUnknownFields()
	require.NoError(t, dec.Decode(v), "body %q", a.body)
}

type errorResponse struct{ ErrorCode, DebugMessage string }

func (a answer) errorResponse(t require.TestingT) errorResponse {
	var e errorResponse
	a.into(t, &e)
	return e
}

func quota(t require.TestingT, s string) []xblsim.Window {
	q, err := xblsim.ParseQuota(s)
	require.NoError(t, err)
	return q
}
