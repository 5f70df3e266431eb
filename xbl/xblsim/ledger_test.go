package xblsim_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/invitedhq/invited/xbl/xblsim"
)

func TestTheLedgerAddsUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sim := inProcess(t, xblsim.Options{})
		want := map[uint32]map[uint64]int{1: {}, 2: {}}
		var ledger xblsim.Ledger
		call := rapid.SliceOfNDistinct(rapid.Uint64Range(1, 30), 1, 16, rapid.ID)
		for _, users := range rapid.SliceOf(call).Draw(t, "calls") {
			titleID := rapid.Uint32Range(1, 2).Draw(t, "title")
			r := inviteRequest(alice, users...)
			r.path = fmt.Sprintf("/titles/%d/invites", titleID)
			require.Equal(t, http.StatusNoContent, sim.do(r).status)
			ledger.Calls++
			ledger.Recipients += len(users)
			for _, u := range users {
				want[titleID][u]++
			}
		}
		ledger.Unique = len(want[1]) + len(want[2])
		ledger.Duplicates = ledger.Recipients - ledger.Unique
		require.Equal(t, ledger, sim.Ledger())
		require.Equal(t, want[1], sim.Sent(1))
		require.Equal(t, want[2], sim.Sent(2))
	})
}

func TestTheLedgerAddsUpAtEveryMomentOfConcurrentCalls(t *testing.T) {
	const workers, calls = 4, 50
	sim := inProcess(t, xblsim.Options{})
	var group sync.WaitGroup
	for range workers {
		group.Go(func() {
			for i := range uint64(calls) {
				sim.do(inviteRequest(alice, i+1, i+1001))
				l := sim.Ledger()
				assert.Equal(t, l.Recipients, l.Unique+l.Duplicates)
				assert.Equal(t, l.Recipients, 2*l.Calls)
			}
		})
	}
	group.Wait()
	assert.Equal(t, xblsim.Ledger{
		Calls: workers * calls, Recipients: 2 * workers * calls,
		Unique: 2 * calls, Duplicates: 2 * (workers - 1) * calls,
	}, sim.Ledger())
}

func TestTheLedgerHasExactlySixFieldsInTheirOrder(t *testing.T) {
	sim := inProcess(t, xblsim.Options{Quota: quota(t, "2/1h")})
	for range 4 {
		sim.invite(alice)
	}
	a := sim.get("/ledger")
	assert.Equal(t, http.StatusOK, a.status)
	assert.Equal(t, "application/json", a.header.Get("Content-Type"))
	assert.Equal(t, `{"calls":4,"throttled":2,"inBlock":1,"recipients":2,"unique":1,"duplicates":1}`,
		strings.TrimSpace(a.body))
}

func TestRecipientsAreListedInOrder(t *testing.T) {
	sim := inProcess(t, xblsim.Options{})
	for _, path := range []string{"/titles/2/invites", "/titles/1/invites"} {
		r := inviteRequest(alice, 18446744073709551615, 5)
		r.path = path
		sim.do(r)
	}
	again := inviteRequest(bob, 5)
	again.path = "/titles/1/invites"
	sim.do(again)
	a := sim.get("/ledger/recipients")
	assert.Equal(t, "application/x-ndjson", a.header.Get("Content-Type"))
	assert.Equal(t, []string{
		`{"titleId":1,"xuid":"5","count":2}`,
		`{"titleId":1,"xuid":"18446744073709551615","count":1}`,
		`{"titleId":2,"xuid":"5","count":1}`,
		`{"titleId":2,"xuid":"18446744073709551615","count":1}`,
	}, strings.Split(strings.TrimSpace(a.body), "\n"))
}

func TestWhatSentReturnsIsACopy(t *testing.T) {
	sim := inProcess(t, xblsim.Options{})
	require.NotNil(t, sim.Sent(title), "a title without calls has an empty map, not none")
	sim.invite(alice)
	sim.Sent(title)[player] = 99
	assert.Equal(t, map[uint64]int{player: 1}, sim.Sent(title))
}

func TestCallsShowsTheLastOnes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		sim := inProcess(t, xblsim.Options{CallLog: 3, Quota: quota(t, "3/15s")})
		sim.invite(bob)
		sim.do(inviteRequest(alice, 1, 2).toServer(7))
		<-time.After(time.Second)
		sim.SetFaults(xblsim.Faults{ResetAfter: 1})
		_, err := sim.try(inviteRequest(alice, 3))
		require.Error(t, err)
		bad := validRequest()
		bad.body = "{}"
		sim.SetFaults(xblsim.Faults{})
		sim.do(bad)
		a := xblsim.TokenKey(alice)
		second := begin.Add(time.Second)
		assert.Equal(t, []xblsim.Call{
			{At: begin, TitleID: title, Token: a, Sender: 7, InvitedUsers: []uint64{1, 2}, Status: 204, Recorded: true},
			{At: second, TitleID: title, Token: a, InvitedUsers: []uint64{3}, Recorded: true, Fault: "resetAfter"},
			{At: second, TitleID: title, Token: a, Status: 400},
		}, sim.Calls())
	})
}

func TestCallsIsEmptyUnlessAskedFor(t *testing.T) {
	sim := inProcess(t, xblsim.Options{})
	sim.invite(alice)
	assert.Empty(t, sim.Calls())
}
