package auth_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/invitedhq/invited/xbl/xblsim/auth"
	"github.com/invitedhq/invited/xbl/xblsim/internal/limit"
)

type window = limit.Window

// documented are the limits that the service publishes for authentication of services.
func documented() []window {
	return []window{{Max: 15, Per: 15 * time.Second}, {Max: 50, Per: 300 * time.Second}}
}

func TestACertificateIsLimitedAtBothEndpointsTogether(t *testing.T) {
	inFakeTime(t, auth.Options{Quota: documented()}, func(t *testing.T, f *fixture) {
		service := f.serviceToken()
		for range 14 {
			require.Equal(t, http.StatusOK, f.do(authorizeRequest(service, "")).status)
		}
		time.Sleep(10 * time.Second)
		for _, r := range []*request{authorizeRequest(service, ""), f.authenticateRequest()} {
			a := f.do(r)
			require.Equal(t, http.StatusTooManyRequests, a.status)
			assert.Equal(t, "5", a.header.Get("Retry-After"), "until the window ends")
			var entity map[string]any
			a.into(t, &entity)
			assert.InDelta(t, 15, entity["maxRequests"], 0)
			assert.InDelta(t, 15, entity["periodInSeconds"], 0)
			assert.Equal(t, "Rate", entity["limitType"])
		}
		assert.Equal(t, 2, f.Ledger().Throttled)
		assert.Equal(t, 1, f.Ledger().InBlock, "the second came although the first had been told to wait")

		was := f.certificate
		f.certificate = f.partner(time.Now(), time.Now().Add(time.Hour))
		assert.Equal(t, http.StatusOK, f.do(f.authenticateRequest()).status, "another certificate has limits of its own")
		f.certificate = was
		time.Sleep(5 * time.Second)
		assert.Equal(t, http.StatusOK, f.do(authorizeRequest(service, "")).status)
	})
}

func TestRefusalsCountUntilTheLongWindowIsFull(t *testing.T) {
	inFakeTime(t, auth.Options{Quota: documented()}, func(t *testing.T, f *fixture) {
		begun := time.Now()
		for range 50 {
			f.do(f.authenticateRequest())
		}
		time.Sleep(15 * time.Second)
		a := f.do(f.authenticateRequest())
		assert.Equal(t, http.StatusTooManyRequests, a.status, "35 refusals filled the long window")
		assert.Equal(t, "285", a.header.Get("Retry-After"))
		time.Sleep(300*time.Second - time.Since(begun))
		assert.Equal(t, http.StatusOK, f.do(f.authenticateRequest()).status)
		assert.Equal(t, auth.Ledger{
			Calls: 52, Throttled: 36, InBlock: 34, ServiceTokens: 16, Refused: map[string]int{}, InvitesRefused: map[string]int{},
		}, f.Ledger())
	})
}

func TestWhoeverHasNoServiceTokenIsLimitedTogether(t *testing.T) {
	inFakeTime(t, auth.Options{Quota: []window{{Max: 2, Per: time.Minute}}}, func(t *testing.T, f *fixture) {
		service := f.serviceToken()
		assert.Equal(t, auth.ServiceTokenInvalid, f.do(authorizeRequest("a", "")).xerr(t))
		assert.Equal(t, auth.ServiceTokenInvalid, f.do(authorizeRequest("b", "")).xerr(t))
		assert.Equal(t, http.StatusTooManyRequests, f.do(authorizeRequest("c", "")).status)
		assert.Equal(t, http.StatusOK, f.do(authorizeRequest(service, "")).status, "which costs the others nothing")
	})
}

func TestEachXErrCanBeHad(t *testing.T) {
	inFakeTime(t, auth.Options{}, func(t *testing.T, f *fixture) {
		service := f.serviceToken()
		delegation, _ := f.Delegate(alice)
		for x := auth.AccountBanned; x < auth.ServiceOutageUpstream+5; x++ {
			f.SetFaults(auth.Faults{XErr: x})
			assert.Equal(t, x, f.do(f.authenticateRequest()).xerr(t))
			a := f.do(authorizeRequest(service, ""))
			assert.Equal(t, x, a.xerr(t))
			assert.Regexp(t, `^XSTS error="xerr_8015dc[0-9a-f]{2}"$`, a.header.Get("WWW-Authenticate"))

			f.SetFaults(auth.Faults{Senders: map[uint64]auth.XErr{alice: x}})
			assert.Equal(t, x, f.do(authorizeRequest(service, delegation)).xerr(t))
			assert.Equal(t, http.StatusOK, f.do(authorizeRequest(service, "")).status, "one sender's trouble is nobody else's")
		}
	})
}

func TestTheServicesFailAsTold(t *testing.T) {
	inFakeTime(t, auth.Options{Latency: time.Second}, func(t *testing.T, f *fixture) {
		f.SetFaults(auth.Faults{Unavailable: true})
		a := f.do(f.authenticateRequest())
		assert.Equal(t, http.StatusServiceUnavailable, a.status)
		assert.Empty(t, a.header.Get("Retry-After"))

		f.SetFaults(auth.Faults{Throttle: true, RetryAfter: 90 * time.Second})
		a = f.do(f.authenticateRequest())
		assert.Equal(t, http.StatusTooManyRequests, a.status)
		assert.Equal(t, "90", a.header.Get("Retry-After"))

		f.SetFaults(auth.Faults{SlowBy: time.Minute})
		begun := time.Now()
		assert.Equal(t, http.StatusOK, f.do(f.authenticateRequest()).status)
		assert.Equal(t, time.Minute+time.Second, time.Since(begun))
		assert.Equal(t, auth.Ledger{
			Calls: 3, Throttled: 1, InBlock: 1, ServiceTokens: 1,
			Refused: map[string]int{"unavailable": 1}, InvitesRefused: map[string]int{},
		}, f.Ledger())
	})
}

func TestTheClockCanBeWrong(t *testing.T) {
	inFakeTime(t, auth.Options{Faults: auth.Faults{ClockOffset: 10 * time.Minute}}, func(t *testing.T, f *fixture) {
		late := time.Now().UTC().Add(10 * time.Minute)
		a := f.do(f.authenticateRequest())
		require.Equal(t, http.StatusForbidden, a.status)
		assert.Equal(t, "signature_time", a.errorResponse(t).ErrorCode)
		assert.Equal(t, late.Format(http.TimeFormat), a.header.Get("Date"), "by which a client can tell")
		assert.Equal(t, late, f.Now().UTC())

		r := f.authenticateRequest()
		r.header.Set("Signature", f.signer.sign(t, r, late))
		assert.Equal(t, late, f.send(r).issued(t).IssueInstant)

		f.SetFaults(auth.Faults{ClockOffset: -2 * 365 * 24 * time.Hour})
		assert.Zero(t, f.do(f.authenticateRequest()).status, "the certificate is not yet valid")
	})
}
