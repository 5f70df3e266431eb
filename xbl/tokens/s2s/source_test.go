package s2s

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/invitedhq/invited/xbl"
	"github.com/invitedhq/invited/xbl/tokens/wire/wiretest"
)

// denied is why there is no token. It says no secret.
func denied(t *testing.T, s *Source) *xbl.TokenError {
	t.Helper()
	_, err := s.Fetch(t.Context(), "ada", s.Cost())
	var problem *xbl.TokenError
	require.ErrorAs(t, err, &problem)
	for _, secret := range []string{serviceText, delegationText, xstsText, serviceText[8:24], delegationText[8:24]} {
		assert.NotContains(t, err.Error(), secret)
	}
	return problem
}

func TestAServiceTokenIsGotWithTheCertificateAndAnXSTSTokenWithThat(t *testing.T) {
	a, _, o := newAuth(t)
	s := newSource(t, o)
	assert.Equal(t, 2, s.Cost())
	grant, err := s.Fetch(t.Context(), "2533274790395904", 2)
	require.NoError(t, err)
	assert.Equal(t, "XBL3.0 x=-;"+xstsText, grant.Token.Authorization())
	assert.True(t, grant.Owner.Service)
	assert.True(t, grant.Token.IsSigned())
	assert.WithinDuration(t, time.Now().Add(8*time.Hour), grant.Token.NotAfter, 5*time.Second)
	assert.Equal(t, []string{
		"POST /service/authenticate signed:true cert:partner v1", "POST /xsts/authorize signed:true cert:partner v1",
	}, a.seen)
	assert.Equal(t, "http://auth.xboxlive.com JWT", fmt.Sprint(a.bodies[0]["RelyingParty"], " ", a.bodies[0]["TokenType"]))
	assert.Equal(t, map[string]any{
		"RelyingParty": "http://xboxlive.com", "TokenType": "JWT",
		"Properties": map[string]any{"ServiceToken": serviceText, "SandboxId": "RETAIL"},
	}, a.bodies[1])
	assert.Equal(t, 1, s.Cost())
	_, err = s.Fetch(t.Context(), "2533274790395905", 1)
	require.NoError(t, err)
	assert.Len(t, a.seen, 3, "the service token is kept")
}

func TestADelegationMakesTheTokenThatOfTheUser(t *testing.T) {
	a, _, o := newAuth(t)
	o.DelegationDir, o.Sandbox = t.TempDir(), "XDKS.1"
	s := newSource(t, o)
	problem := s.Check("ada")
	require.NotNil(t, problem)
	assert.Equal(t, xbl.TokenMissing, problem.Kind)
	assert.ErrorContains(t, problem, filepath.Join(o.DelegationDir, "ada"))
	require.NoError(t, os.WriteFile(filepath.Join(o.DelegationDir, "ada"), []byte(delegationText+"\n"), 0o600))
	require.Nil(t, s.Check("ada"))
	grant, err := s.Fetch(t.Context(), "ada", 2)
	require.NoError(t, err)
	assert.Equal(t, "XBL3.0 x=1234567890;"+xstsText, grant.Token.Authorization())
	assert.Equal(t, "Ada 2533274790395904 false", fmt.Sprint(grant.Owner.Gamertag, " ", grant.Owner.XUID, " ", grant.Owner.Service))
	assert.Equal(t, map[string]any{"ServiceToken": serviceText, "SandboxId": "XDKS.1", "DelegationToken": delegationText}, a.bodies[1]["Properties"])
}

func TestDelegationFilesThatCannotBeUsedSayWhyAndNotWhat(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string, mode os.FileMode) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600))
		require.NoError(t, os.Chmod(filepath.Join(dir, name), mode))
	}
	write("empty", " \n", 0o600)
	write("spaced", "hunter2 hunter2", 0o600)
	write("long", strings.Repeat("h", 30<<10), 0o600)
	write("open", "hunter2", 0o644)
	require.NoError(t, os.Mkdir(filepath.Join(dir, "dir"), 0o700))
	for sender, want := range map[string]string{
		"empty": "is empty", "spaced": "a space, a line break", "long": "longer than", "open": "chmod o-rwx", "dir": "no regular file",
		"../x": "a sender is", "gone": "write the sender's delegation token to",
	} {
		_, problem := readDelegation(dir, sender)
		require.NotNil(t, problem, sender)
		assert.ErrorContains(t, problem, want, sender)
		assert.NotContains(t, problem.Error(), "hunter2")
		assert.True(t, problem.Kind.NeedsAct())
	}
}

func TestARefusedServiceTokenIsGotAnewAndCountedAsTwoRequests(t *testing.T) {
	for _, xerr := range []XErr{XErrServiceTokenEnded, XErrServiceTokenInvalid} {
		a, _, o := newAuth(t)
		s := newSource(t, o)
		_, err := s.Fetch(t.Context(), "ada", 2)
		require.NoError(t, err)
		a.answer = func(string) (int, string) {
			return 401, fmt.Sprintf(`{"Identity":"0","XErr":%d,"Message":"","Redirect":""}`, xerr)
		}
		problem := denied(t, s)
		assert.Equal(t, xbl.TokenUnavailable, problem.Kind)
		assert.WithinDuration(t, time.Now(), problem.RetryAt, 5*time.Second, "at once")
		assert.Equal(t, 2, s.Cost())
		a.answer = nil
		_, err = s.Fetch(t.Context(), "ada", 1)
		require.Error(t, err, "one request is not enough for it")
		_, err = s.Fetch(t.Context(), "ada", 2)
		require.NoError(t, err)
		assert.Len(t, a.seen, 5, "two, the refused one, two")
	}
}

func TestOneGoroutineGetsTheServiceToken(t *testing.T) {
	a, _, o := newAuth(t)
	s := newSource(t, o)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			_, err := s.Fetch(t.Context(), "ada", 2)
			assert.NoError(t, err)
		})
	}
	all.Wait()
	assert.Equal(t, 1, strings.Count(strings.Join(a.seen, "\n"), "authenticate"))
}

func TestEachXErrHasItsMeaningInWordsAndSaysWhetherAPersonMustAct(t *testing.T) {
	for xerr, m := range meanings() {
		a, _, o := newAuth(t)
		s := newSource(t, o)
		a.answer = func(path string) (int, string) {
			if path == "/service/authenticate" {
				return 0, ""
			}
			return 401, fmt.Sprintf(`{"Identity":"0","XErr":%d,"Message":"no, %s","Redirect":"https://start.ui.xboxlive.com/AddChild"}`,
				uint32(xerr), delegationText)
		}
		problem := denied(t, s)
		assert.Equal(t, m.kind, problem.Kind)
		assert.ErrorContains(t, problem, m.words)
		var refusal *RefusalError
		require.ErrorAs(t, problem, &refusal)
		assert.Equal(t, xerr, refusal.XErr)
		assert.ErrorContains(t, problem, fmt.Sprintf("0x%08X (%d)", uint32(xerr), uint32(xerr)))
	}
	act := map[bool]int{}
	for _, m := range meanings() {
		act[m.kind.NeedsAct()]++
	}
	assert.Equal(t, map[bool]int{true: 14, false: 4}, act)
	assert.Equal(t, uint32(2148916233), uint32(XErrNoAccount))
}

func TestWhatElseTheAuthServicesAnswer(t *testing.T) {
	for name, tt := range map[string]struct {
		status int
		body   string
		kind   xbl.TokenErrorKind
		want   string
	}{
		"an XErr of tomorrow":     {401, `{"XErr":2148916300}`, xbl.TokenDenied, "not documented: status 401, XErr 0x8015DC4C"},
		"one as a negative int32": {401, `{"XErr":-2146051063}`, xbl.TokenDenied, "no Xbox account"},
		"one as text":             {401, `{"XErr":"0x8015DC09"}`, xbl.TokenDenied, "no Xbox account"},
		"one with an outage":      {503, `{"XErr":2148916273}`, xbl.TokenUnavailable, "an outage"},
		"401 without a reason":    {401, ``, xbl.TokenDenied, "without saying why"},
		"403":                     {403, ``, xbl.TokenDenied, "this machine's clock"},
		"400":                     {400, `{"Message":"bad \u001b[31m request"}`, xbl.TokenInvalid, `"bad [31m request"`},
		"429":                     {429, ``, xbl.TokenThrottled, "too often"},
		"500":                     {500, `oops ` + serviceText, xbl.TokenUnavailable, "answered 500"},
		"302":                     {302, ``, xbl.TokenInvalid, "not followed"},
		"no JSON":                 {200, `<html>` + serviceText, xbl.TokenInvalid, "no JSON"},
		"no token":                {200, `{"NotAfter":"2126-01-01T00:00:00Z"}`, xbl.TokenInvalid, "the Token"},
		"two lines":               {200, `{"Token":"a\nb","NotAfter":"2126-01-01T00:00:00Z"}`, xbl.TokenInvalid, "the Token"},
		"no end":                  {200, `{"Token":` + quoted(xstsText) + `}`, xbl.TokenInvalid, "the NotAfter"},
		"a hash that is none":     {200, `{"Token":"a","NotAfter":"2126-01-01T00:00:00Z","DisplayClaims":{"xui":[{"uhs":"a;b"}]}}`, xbl.TokenInvalid, "uhs"},
	} {
		t.Run(name, func(t *testing.T) {
			a, _, o := newAuth(t)
			s := newSource(t, o)
			a.answer = func(path string) (int, string) {
				if path == "/service/authenticate" {
					return 0, ""
				}
				return tt.status, tt.body
			}
			problem := denied(t, s)
			assert.Equal(t, tt.kind.String(), problem.Kind.String())
			assert.ErrorContains(t, problem, tt.want)
		})
	}
}

func TestACertificateThatHasEndedIsSaidToHaveAndItsRenewalIsPickedUp(t *testing.T) {
	_, authority, o := newAuth(t)
	authority.Issue(t, "partner", time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour))
	s := newSource(t, o)
	problem := denied(t, s)
	assert.Equal(t, xbl.TokenDenied, problem.Kind)
	assert.ErrorContains(t, problem, "the certificate ended on")
	assert.True(t, s.CertificateEnds().Before(time.Now()))
	authority.Valid(t, "partner")
	_, err := s.Fetch(t.Context(), "ada", 2)
	require.NoError(t, err, "no restart is needed")
	assert.True(t, s.CertificateEnds().After(time.Now()))
}

func TestACertificateThatIsTurnedDownIsForAPersonToMend(t *testing.T) {
	a, _, o := newAuth(t)
	good := newSource(t, o)
	o.CertificateFile, o.KeyFile = wiretest.NewAuthority(t).Valid(t, "stranger")
	problem := denied(t, newSource(t, o))
	assert.Equal(t, xbl.TokenDenied, problem.Kind, "the handshake says so")
	assert.ErrorContains(t, problem, "most likely for the certificate")

	a.answer = func(string) (int, string) { panic(http.ErrAbortHandler) }
	problem = denied(t, good)
	assert.Equal(t, xbl.TokenUnavailable, problem.Kind, "a service that is restarted drops connections too")
	assert.ErrorContains(t, problem, "if it always does, it does not take the certificate")
}

func TestAServiceTokenIsUsedUntilAnHourOrATenthOfItsLifeIsLeft(t *testing.T) {
	now := time.Now()
	for life, left := range map[time.Duration]time.Duration{14 * 24 * time.Hour: time.Hour, 10 * time.Minute: time.Minute} {
		assert.WithinDuration(t, now.Add(life-left), newServiceToken("", now.Add(life)).last, time.Second, life)
	}
}

// The service answers 403 to a signature of another time, and its Date says which it is.
func TestAWrongClockIsCorrectedByTheServicesDate(t *testing.T) {
	a, _, o := newAuth(t)
	a.strict, a.clock = true, -30*time.Minute
	s := newSource(t, o)
	problem := denied(t, s)
	assert.Equal(t, xbl.TokenUnavailable, problem.Kind, "time helps, and nobody has to act")
	assert.ErrorContains(t, problem, "clock")
	grant, err := s.Fetch(t.Context(), "ada", 2)
	require.NoError(t, err)
	assert.WithinDuration(t, time.Now().Add(8*time.Hour), grant.Token.NotAfter, 5*time.Second, "by this machine's clock")
	_, at, err := s.signer.Sign("POST", "/", "", nil)
	require.NoError(t, err)
	assert.WithinDuration(t, time.Now().Add(-30*time.Minute), at, 5*time.Second)
}

func TestOptionsThatCannotWorkAreRefused(t *testing.T) {
	_, _, good := newAuth(t)
	for want, change := range map[string]func(*Options){
		"tokens.s2s: ":           func(o *Options) { o.KeyFile = filepath.Join(t.TempDir(), "none") },
		"tokens.s2s.service_url": func(o *Options) { o.ServiceURL = "http://auth.example" },
		"tokens.s2s.xsts_url":    func(o *Options) { o.XSTSURL = "https://hunter2@auth.example" },
		"tokens.s2s.ca_file":     func(o *Options) { o.CAFile = o.KeyFile },
	} {
		o := good
		change(&o)
		_, err := New(o)
		require.ErrorContains(t, err, want)
		assert.NotContains(t, err.Error(), "hunter2")
	}
	good.ServiceURL, good.XSTSURL = "", ""
	s := newSource(t, good)
	assert.Equal(t, "https://service.auth.xboxlive.com/service/authenticate https://xsts.auth.xboxlive.com/xsts/authorize",
		s.service.String()+" "+s.xsts.String())
}

func TestAFetchThatTakesTooLongIsGivenUp(t *testing.T) {
	_, _, o := newAuth(t)
	s := newSource(t, o)
	ctx, cancel := context.WithTimeout(t.Context(), 0)
	defer cancel()
	_, err := s.Fetch(ctx, "ada", 2)
	assert.ErrorContains(t, err, "gave no answer in time")
}
